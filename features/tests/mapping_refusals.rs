//! Mapping files that cannot be used, and series that a usable one refuses: each says what, where and why.

use features::mapping::{Absent, MappingSet};
use features::{Catalogue, Labels, MetricKind, Resolution, Transform};

const HEAD: &str = r#"
source = "test"
version = 1
origin = "nowhere"
[entity.container]
kind = "container"
key = ["namespace", "pod", "container"]
incarnation = "uid"
[entity.node]
kind = "node"
key = ["node|instance:host"]
"#;

fn with(rows: &str) -> Result<MappingSet, String> {
    MappingSet::of(&[("test.toml", &format!("{HEAD}{rows}"))], &Catalogue::standard()).map_err(|e| e.to_string())
}

fn row(fields: &str) -> String {
    format!("[[metric]]\n{fields}\n")
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    Labels::try_new(pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()).unwrap()
}

#[test]
fn unusable_rows_are_refused_by_name() {
    let cases: [(&str, &[&str]); 25] = [
        (
            r#"select = "a"
id = "mem.magic"
entity = "node""#,
            &["row 1 (a)", "mem.magic"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "pod""#,
            &["row 1 (a)", "[entity.pod]", "container, node"],
        ),
        (
            r#"select = "a{"
id = "mem.rss"
entity = "node""#,
            &["row 1 (a{)", "cannot be read"],
        ),
        (
            r#"select = "sum(a)"
id = "mem.rss"
entity = "node""#,
            &["sum(a)", "expression"],
        ),
        (
            r#"select = "a offset 5m"
id = "mem.rss"
entity = "node""#,
            &["offset"],
        ),
        (
            r#"select = "a[5m]"
id = "mem.rss"
entity = "node""#,
            &["expression"],
        ),
        (
            r#"select = '{b="c"}'
id = "mem.rss"
entity = "node""#,
            &["names no metric"],
        ),
        (
            r#"select = 'a{b=~"("}'
id = "mem.rss"
entity = "node""#,
            &["cannot be read"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
scale = 0.0"#,
            &["scale 0 must be above 0"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
scale = -1.0"#,
            &["scale -1 must be above 0"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
unit = { from = "MiBy", scale = 1000.0 }"#,
            &["MiBy", "it is 1048576"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
unit = { from = "furlong" }"#,
            &["furlong", "unit.scale"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
unit = { from = "MiBy", to = "s" }"#,
            &["unit.to \"s\"", "mem.rss is in \"By\""],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
scale = 2.0
unit = { from = "MiBy" }"#,
            &["both unit and scale"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
kind = "counter""#,
            &["mem.rss is a Gauge"],
        ),
        (
            r#"select = "a"
id = "phase"
entity = "node""#,
            &["needs state or codes"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
state = "reason""#,
            &["mem.rss is no state metric"],
        ),
        (
            r#"select = "a"
id = "phase"
entity = "node"
state = "phase"
states = { Dead = "Deceased" }"#,
            &["\"Deceased\"", "Pending, Running, Succeeded, Failed, Unknown"],
        ),
        (
            r#"select = "a"
id = "phase"
entity = "node"
codes = { one = "Pending" }"#,
            &["code \"one\""],
        ),
        (
            r#"select = "a"
id = "phase"
entity = "node"
codes = { 1 = "Waiting" }"#,
            &["\"Waiting\"", "Pending"],
        ),
        (
            r#"select = "a"
id = "owner"
entity = "node""#,
            &["info"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
part = ["device", "device=disk"]"#,
            &["\"device\" is given twice"],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
since = "new""#,
            &["version \"new\""],
        ),
        (
            r#"select = "a"
id = "mem.rss"
entity = "node"
labels = ["b"]"#,
            &["labels", "unknown field"],
        ),
        (
            r#"id = "mem.rss"
entity = "node""#,
            &["select"],
        ),
    ];
    for (fields, expected) in cases {
        let error = with(&row(fields)).map(|_| ()).unwrap_err();
        assert!(error.contains("test.toml"), "{fields}\n{error}");
        for part in expected {
            assert!(error.contains(part), "{fields}\nlacks {part:?}:\n{error}");
        }
    }
}

#[test]
fn unusable_files_are_refused() {
    let catalogue = Catalogue::standard();
    let refuse = |text: &str| MappingSet::of(&[("test.toml", text)], &catalogue).map(|_| ()).unwrap_err().to_string();
    let rows = row("select = \"a\"\nid = \"mem.rss\"\nentity = \"node\"");
    for (text, expected) in [
        ("nonsense", "test.toml"),
        (&format!("unknown = 1\n{HEAD}{rows}"), "unknown"),
        (&HEAD.replace("key = [\"node|instance:host\"]", "key = []").to_string(), "metric"),
        (
            &format!("{}{rows}", HEAD.replace("key = [\"node|instance:host\"]", "key = []")),
            "[entity.node] has no key label",
        ),
        (&format!("{}{rows}", HEAD.replace("instance:host", "instance:port")), "\"port\" is not host or pod_uid"),
        (&format!("{}{rows}", HEAD.replace("kind = \"node\"", "kind = \"toaster\"")), "toaster"),
    ] {
        let error = refuse(text);
        assert!(error.contains(expected), "{text}\nlacks {expected:?}:\n{error}");
    }
    let text = format!("{HEAD}{rows}");
    let twice = MappingSet::of(&[("one.toml", &text), ("two.toml", &text)], &catalogue).map(|_| ()).unwrap_err();
    assert!(twice.to_string().contains("source \"test\" is already in the set"), "{twice}");
}

/// Two rows, and what must be said of them; `None` when they may stand together.
fn together(one: &str, two: &str) -> Result<(), String> {
    with(&format!("{}{}", row(one), row(two))).map(|_| ())
}

#[test]
fn rows_that_give_one_series_two_meanings_are_refused() {
    let node = |select: &str, id: &str| format!("select = '{select}'\nid = \"{id}\"\nentity = \"node\"");
    for (one, two) in [
        ("a", "a"),
        ("a", r#"a{b="c"}"#),
        (r#"a{b!="c"}"#, r#"a{b="d"}"#),
        (r#"a{b=~"c|d"}"#, r#"a{b="d"}"#),
        (r#"a{b=~"c.*"}"#, r#"a{b=~"d.*"}"#),
        (r#"a{b="c"}"#, r#"a{e="f"}"#),
        (r#"{__name__=~"a|b"}"#, "b"),
        ("abc", r#"{__name__=~"a.*"}"#),
    ] {
        let error = together(&node(one, "mem.rss"), &node(two, "mem.cache")).unwrap_err();
        assert!(error.contains("selects too, with another meaning"), "{one} {two}: {error}");
        assert!(error.contains(one) && error.contains(two), "{error}");
    }
    for (one, two) in [
        ("a", "b"),
        (r#"a{b="c"}"#, r#"a{b="d"}"#),
        (r#"a{b="c"}"#, r#"a{b!="c"}"#),
        (r#"a{b=~"c|d"}"#, r#"a{b="e"}"#),
        (r#"a{b=~"c|d"}"#, r#"a{b=~"e|f"}"#),
        (r#"a{b=~"c|d"}"#, r#"a{b!~"c|d"}"#),
        (r#"a{b=~"|POD"}"#, r#"a{b!="",b!="POD"}"#),
        (r#"{__name__=~"a|b"}"#, "c"),
        ("bc", r#"{__name__=~"a.*"}"#),
    ] {
        assert_eq!(together(&node(one, "mem.rss"), &node(two, "mem.cache")), Ok(()), "{one} {two}");
    }
}

#[test]
fn rows_of_one_meaning_may_differ_in_versions_and_then_say_less_of_absence() {
    let reason =
        |more: &str| format!("select = \"r\"\nid = \"waiting.reason\"\nentity = \"node\"\nstate = \"x\"\n{more}");
    let zero = "absent = \"zero\"";
    assert_eq!(together(&reason(zero), &reason(zero)), Ok(()));
    let error = together(&reason(zero), &reason("")).unwrap_err();
    assert!(error.contains("a missing row means something else"), "{error}");
    let (old, new) = (reason("until = \"2.20\""), reason("absent = \"zero\"\nsince = \"2.20\""));
    let set = with(&format!("{}{}", row(&old), row(&new))).unwrap();
    let series = labels(&[("__name__", "r"), ("node", "n"), ("x", "CrashLoopBackOff")]);
    assert_eq!(set.absent(&series), Some(Absent::Unknown));
    let error = together(&reason("until = \"2.21\""), &new).unwrap_err();
    assert!(error.contains("a missing row means something else"), "2.9 comes before 2.20: {error}");
    assert_eq!(together(&reason("until = \"2.9\""), &new), Ok(()));
}

#[test]
fn series_that_cannot_be_placed_are_refused_with_their_labels() {
    let set = with(&format!(
        "{}{}",
        row("select = \"m\"\nid = \"mem.rss\"\nentity = \"container\""),
        row("select = \"p\"\nid = \"phase\"\nentity = \"node\"\nstate = \"phase\"")
    ))
    .unwrap();
    let Resolution::Refused(reason) = set.resolve(&labels(&[("__name__", "m"), ("namespace", "a"), ("pod", "b")]))
    else {
        panic!("no container label");
    };
    assert_eq!(
        reason,
        "test (m{namespace=\"a\",pod=\"b\"}): label \"container\" is missing, needed as key of a container"
    );
    let Resolution::Refused(reason) = set.resolve(&labels(&[("__name__", "p"), ("node", "n"), ("phase", "Dancing")]))
    else {
        panic!("unknown state");
    };
    assert!(reason.contains("state \"Dancing\" of label \"phase\" is not known; known are "), "{reason}");
    for state in ["Failed", "Pending", "Running", "Succeeded", "Unknown"] {
        assert!(reason.contains(state), "{reason}");
    }
    let Resolution::Refused(reason) = set.resolve(&labels(&[("__name__", "p"), ("node", "n")])) else {
        panic!("no state label");
    };
    assert!(reason.contains("state \"\" of label \"phase\""), "{reason}");
    assert_eq!(set.resolve(&labels(&[("__name__", "other")])), Resolution::Unmapped);
}

#[test]
fn what_a_row_says_is_what_a_series_becomes() {
    let catalogue = Catalogue::standard();
    let set = with(&format!(
        "{}{}{}{}",
        row("select = \"b\"\nid = \"mem.rss\"\nentity = \"node\"\nunit = { from = \"MiBy\", to = \"By\" }\npart = [\"disk=device\"]\nfixed = { side = \"left\" }"),
        row("select = \"t\"\nid = \"guest.tools_running\"\nentity = \"node\"\ncodes = { 1 = \"0\" }"),
        row("select = \"i\"\nid = \"owner\"\nentity = \"node\"\ninfo = [\"kind\", \"name\"]"),
        row("select = '{__name__=~\"w_.*\"}'\nid = \"waiting.reason\"\nentity = \"node\"\nstate = \"why\"\nstates = { Stuck = \"ContainerCreating\" }"),
    ))
    .unwrap();
    let resolve = |pairs: &[(&str, &str)]| match set.resolve(&labels(pairs)) {
        Resolution::Series(series, transform) => (series, transform),
        other => panic!("{other:?}"),
    };
    let (series, transform) = resolve(&[("__name__", "b"), ("instance", "h:1"), ("device", "a,b%")]);
    assert_eq!((series.entity.key(), series.part.as_str()), ("h", "disk=a%2Cb%25,side=left"));
    assert_eq!(transform.apply(2.0), Some(2_097_152.0));
    let (series, _) = resolve(&[("__name__", "b"), ("instance", "h:1"), ("node", "n")]);
    assert_eq!((series.entity.key(), series.part.as_str()), ("n", "side=left"));
    let (_, transform) = resolve(&[("__name__", "t"), ("node", "n")]);
    assert_eq!((transform.apply(1.0), transform.apply(2.0)), (Some(0.0), None));
    let (series, transform) = resolve(&[("__name__", "i"), ("node", "n"), ("name", "x"), ("kind", "<none>")]);
    assert_eq!((series.part.as_str(), transform.apply(17.0)), ("name=x", Some(1.0)));
    assert_eq!(catalogue.definition(series.metric).unwrap().kind, MetricKind::Info);
    let states = &catalogue.definition(catalogue.id("waiting.reason").unwrap()).unwrap().states;
    for (why, state) in [("Stuck", "ContainerCreating"), ("ErrImagePull", "ErrImagePull"), ("Novel", "other")] {
        let (_, transform) = resolve(&[("__name__", "w_1"), ("node", "n"), ("why", why)]);
        let index = u16::try_from(states.iter().position(|s| s == state).unwrap()).unwrap();
        assert_eq!(transform, Transform::State(index), "{why}");
    }
}

#[test]
fn the_shipped_mappings_resolve_every_row_the_same_in_any_order() {
    let catalogue = Catalogue::standard();
    let mut backwards = features::mapping::SHIPPED;
    backwards.reverse();
    let (one, two) = (MappingSet::standard(&catalogue), MappingSet::of(&backwards, &catalogue).unwrap());
    assert_eq!(one.names(), two.names());
    let digests: std::collections::BTreeSet<_> = one.digests().into_iter().collect();
    assert_eq!(digests, two.digests().into_iter().collect());
    let series =
        labels(&[("__name__", "kube_pod_status_reason"), ("namespace", "a"), ("pod", "b"), ("reason", "Evicted")]);
    assert_eq!(one.resolve(&series), two.resolve(&series));
    assert_eq!(one.absent(&series), Some(Absent::Unknown), "before and from 2.20 differ");
    assert_eq!(two.absent(&series), Some(Absent::Unknown));
}
