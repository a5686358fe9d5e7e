//! The numbers of the contract, as published.

use std::collections::BTreeMap;

use prost::Message;
use prost_types::FileDescriptorSet;

fn numbers() -> BTreeMap<String, Vec<(i32, String)>> {
    let set = FileDescriptorSet::decode(proto::v1::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "forewarn.v1").unwrap();
    let messages = file.message_type.iter().map(|message| {
        let fields = message.field.iter().map(|field| (field.number(), field.name().to_owned())).collect();
        (message.name().to_owned(), fields)
    });
    let enums = file.enum_type.iter().map(|set| {
        let values = set.value.iter().map(|value| (value.number(), value.name().to_owned())).collect();
        (set.name().to_owned(), values)
    });
    messages.chain(enums).collect()
}

fn named(fields: &[(i32, &str)]) -> Vec<(i32, String)> {
    fields.iter().map(|&(number, name)| (number, name.to_owned())).collect()
}

#[test]
fn published_numbers_keep_their_names() {
    let numbers = numbers();
    let published: [(&str, &[(i32, &str)]); 6] = [
        ("ScoreRequest", &[(1, "model"), (2, "version"), (3, "horizons"), (4, "features"), (5, "windows")]),
        ("EntityKey", &[(1, "kind"), (2, "key"), (3, "incarnation")]),
        ("FeatureRows", &[(1, "feature_spec_hash"), (2, "entities"), (3, "as_of"), (4, "flat"), (5, "sequence")]),
        ("Series", &[(1, "metric"), (2, "time_deltas"), (3, "values"), (4, "known_at_deltas")]),
        (
            "Risk",
            &[
                (1, "entity"),
                (2, "as_of"),
                (3, "failure_probability"),
                (4, "rul_quantiles"),
                (5, "restricted_mean"),
                (6, "incidence"),
                (7, "cause"),
                (8, "cause_share"),
                (9, "health_indicator"),
                (10, "alarm"),
                (11, "status"),
                (12, "status_detail"),
            ],
        ),
        (
            "RowStatus",
            &[
                (0, "ROW_STATUS_UNSPECIFIED"),
                (1, "ROW_STATUS_OK"),
                (2, "ROW_STATUS_UNKNOWN_ENTITY"),
                (3, "ROW_STATUS_INSUFFICIENT_HISTORY"),
                (4, "ROW_STATUS_STALE"),
                (5, "ROW_STATUS_INVALID_INPUT"),
                (6, "ROW_STATUS_NON_FINITE"),
                (7, "ROW_STATUS_COMPUTE_FAILED"),
            ],
        ),
    ];
    for (message, fields) in published {
        assert_eq!(numbers[message], named(fields), "{message}");
    }
}

#[test]
fn numbers_kept_for_later_are_reserved() {
    let set = FileDescriptorSet::decode(proto::v1::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "forewarn.v1").unwrap();
    let request = file.message_type.iter().find(|message| message.name() == "ScoreRequest").unwrap();
    let range = request.reserved_range.first().unwrap();
    assert_eq!((range.start(), range.end()), (6, 10), "the end is exclusive");
}

#[test]
fn the_service_keeps_its_name() {
    let set = FileDescriptorSet::decode(proto::v1::FILE_DESCRIPTOR_SET).unwrap();
    let file = set.file.iter().find(|file| file.package() == "forewarn.v1").unwrap();
    assert_eq!(format!("{}.{}", file.package(), file.service[0].name()), proto::v1::SERVICE_NAME);
    let methods: Vec<_> = file.service[0].method.iter().map(prost_types::MethodDescriptorProto::name).collect();
    assert_eq!(methods, ["Score", "GetModel"]);
}
