//! Settings are refused with the key, the value and what it contradicts.

mod common;

use common::{Toy, info};
use serve::{Model, ServeConfig};

fn refused(text: &str) -> String {
    ServeConfig::parse(text).unwrap_err().to_string()
}

#[test]
fn the_defaults_agree_and_survive_being_saved() {
    let config = ServeConfig::parse("").unwrap();
    assert_eq!(config, ServeConfig::default());
    assert_eq!(ServeConfig::parse(&toml::to_string(&config).unwrap()).unwrap(), config);
}

#[test]
fn an_unknown_key_is_named() {
    let message = refused("max_batch_row = 5");
    assert!(message.contains("max_batch_row") && message.contains("max_batch_rows"), "{message}");
}

#[test]
fn keys_that_contradict_each_other_are_named_with_their_values() {
    for (text, wanted) in [
        (
            "max_batch_rows = 64\nrows_per_request = 8\nqueue_capacity_rows = 32",
            "max_batch_rows (64) is larger than queue_capacity_rows (32)",
        ),
        ("rows_per_request = 20000", "rows_per_request (20000) is larger than queue_capacity_rows (16384)"),
        ("default_deadline_ms = 70000", "default_deadline_ms (70000) is longer than max_deadline_ms (60000)"),
        ("batch_window_ms = 11", "batch_window_ms (11) is longer than the longest useful window (10)"),
        ("batch_window_ms = 5\ndefault_deadline_ms = 4", "batch_window_ms (5) is longer than default_deadline_ms (4)"),
        ("inflight_request_bytes = 5", "decode_limit_bytes (4194304) is larger than inflight_request_bytes (5)"),
        ("connections = 0", "connections is 0, must be above"),
    ] {
        let message = refused(text);
        assert!(message.contains(wanted), "{message}");
    }
}

#[tokio::test]
async fn a_bundle_whose_parts_disagree_is_refused_at_start() {
    let mut info = info();
    info.alarms.horizon = 9.0;
    let model = Model { info, predictor: Box::new(Toy::new()), device: "cpu".to_owned() };
    let listener = serve::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let ended = serve::run(listener, None, model, ServeConfig::default(), std::future::pending()).await;
    let message = ended.unwrap_err().to_string();
    assert!(message.contains("model toy") && message.contains('9') && message.contains("the last edge"), "{message}");
}
