//! Reading of small files.

use super::*;

const HEADER: &str = "System,machine type,nodes,procstot,procsinnode,nodenum,nodenumz,node install,node prod,node decom,fru type,mem,cputype,memtype,num intercon,purpose,Prob Started,Prob Fixed,Down Time,Facilities,Hardware,Human Error,Network,Undetermined,Software,Same Event";

/// A row of system 2, whose nodes 0, 2 and 3 are in this part.
fn row(node: u32, from: &str, to: &str, minutes: &str) -> String {
    format!(
        "2,cluster,4.0,16.0,4.0,{node}.0,{node}.0,5-Mar,5-Apr,current,part,8.0,1.0,1.0,0.0,compute,{from},{to},{minutes},,CPU,,,,,No"
    )
}

fn read_text(rows: &[String]) -> Result<LanlNodes> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("failures.csv"), format!("{HEADER}\n{}\n", rows.join("\n"))).unwrap();
    read(folder.path())
}

fn refusal(rows: &[String]) -> String {
    read_text(rows).unwrap_err().to_string()
}

#[test]
fn overlapping_outages_are_one_and_quiet_nodes_are_added() {
    let nodes = read_text(&[
        row(0, "5/2/2005 10:00", "5/2/2005 12:00", "120"),
        row(0, "5/2/2005 11:00", "5/2/2005 11:30", "30"),
        row(0, "5/2/2005 12:00", "5/2/2005 12:01", "1"),
        row(0, "5/3/2005 8:00", "5/3/2005 8:00", "0"),
        // The night an hour was won: two hours by the clock, three in truth.
        row(2, "10/30/2005 0:30", "10/30/2005 2:30", "180"),
        // Repaired in the second passing of the hour that is shown twice.
        row(2, "10/29/2005 23:35", "10/30/2005 1:02", "147"),
    ])
    .unwrap();
    assert_eq!((nodes.records, nodes.merged, nodes.instant), (6, 3, 1));
    let first = &nodes.nodes[0];
    assert_eq!((first.key.as_str(), first.outages.len()), ("lanl-2-0", 2));
    assert_eq!((first.outages[0].end - first.outages[0].start, first.outages[0].records), (121 * 60, 3));
    assert_eq!(first.outages[1].end - first.outages[1].start, SHORTEST);
    let night = &nodes.nodes[1].outages;
    assert_eq!((night.len(), night[0].end - night[0].start), (1, 235 * 60));
    assert_eq!(first.from, Month { year: 2005, month: 4 }.start().unwrap());
    assert_eq!(first.until, nodes.end);
    let quiet: Vec<&str> = nodes.nodes.iter().filter(|n| n.added).map(|n| n.key.as_str()).collect();
    let expected = ["lanl-2-3"];
    assert_eq!(quiet, expected);
    assert_eq!(nodes.added, 1);
}

#[test]
fn rows_that_contradict_themselves_are_refused_with_their_line() {
    let good = || row(0, "5/2/2005 10:00", "5/2/2005 12:00", "120");
    for (changed, told) in [
        (good().replace("5/2/2005 10:00", "13/2/2005 10:00"), "no time"),
        (good().replace("5/2/2005 10:00", "5/2/2011 10:00"), "no time"),
        (row(0, "5/2/2005 10:00", "5/2/2005 9:00", "-60"), "minutes of real time"),
        (good().replace(",120,", ",60,"), "minutes of real time"),
        (good().replace(",120,", ",many,"), "expected a number"),
        (good().replace(",CPU,", ",CPU,Human Error"), "two causes"),
        (good().replace("5-Apr", "April"), "no month"),
        (good().replace(",No", ",Perhaps"), "Same Event"),
        (good().replace(",4.0,16.0", ",5.0,16.0"), "nodes, 4 before"),
        (good().replace("2,cluster", "-2,cluster"), "no count"),
    ] {
        assert_ne!(changed, good(), "the row is really another");
        let error = refusal(&[good(), changed]);
        assert!(error.contains("line 3") && error.contains(told), "{error}");
    }
    let early = refusal(&[row(0, "1/2/2005 10:00", "1/2/2005 12:00", "120")]);
    assert!(early.contains("outside its service"), "{early}");
    let other = (0..99).find(|&node| !in_part(2, node)).unwrap();
    assert!(refusal(&[row(other, "5/2/2005 10:00", "5/2/2005 12:00", "120")]).contains("held-out"));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("failures.csv"), "System,nodes\n2,4\n").unwrap();
    assert!(read(folder.path()).unwrap_err().to_string().contains("nodenumz"));
    assert!(read(&folder.path().join("nowhere")).is_err());
}
