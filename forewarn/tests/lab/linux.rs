//! The trials, and why they cannot be made here.

mod lives;
mod refusals;
mod sitting;
mod stops;
mod traces;

use std::fs::{File, TryLockError};

use lab::host::Host;
use libtest_mimic::{Arguments, Trial};

/// Most containers at a time of any trial.
const MOST: usize = 10;

pub(crate) fn run() {
    let mut arguments = Arguments::from_args();
    // One lab at a time runs on a machine.
    arguments.test_threads = Some(1);
    let missing = missing();
    let mut trials = Vec::new();
    let mut add = |name: &str, missing: Option<&str>, test: fn()| {
        let name = missing.map_or_else(|| name.to_owned(), |missing| format!("{name} (ignored: {missing})"));
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        trials.push(trial.with_ignored_flag(missing.is_some()));
    };
    let here = missing.as_deref();
    add("without_root_it_says_what_to_do", None, refusals::without_root);
    add("a_full_disk_is_refused_before_anything_starts", here, refusals::full_disk);
    add("a_folder_of_another_run_or_of_something_else_is_refused", here, refusals::other_folder);
    add("a_second_lab_on_the_machine_is_refused", here, refusals::second_lab);
    add("a_stopped_lab_leaves_nothing_and_says_how_to_go_on", here, stops::stopped);
    add("a_killed_lab_is_cleaned_up_by_the_next_start_and_goes_on", here, stops::killed);
    add("a_container_that_will_not_die_is_recorded_and_taken_away", here, stops::will_not_die);
    add("a_dozen_short_lives_end_as_written_and_leave_nothing", here, lives::dozen);
    libtest_mimic::run(&arguments, trials).exit();
}

/// What this machine lacks to run the lab.
fn missing() -> Option<String> {
    if let Err(error) = Host::check(&std::env::temp_dir(), MOST) {
        return Some(error.to_string());
    }
    // Without the file no lab ever ran here.
    let lock = File::open("/run/forewarn-lab.lock").ok()?;
    matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock))
        .then(|| "another run of the lab is going on on this machine".to_owned())
}
