//! `croissant.json`: what tools that search and load data sets read, in [Croissant 1.0].
//!
//! [Croissant 1.0]: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.0.html

use features::schema;
use serde_json::{Value, json};

use crate::builder::{EVENTS, TRUTH};
use crate::error::{DatasetError, Result};
use crate::manifest::Manifest;
use arrow::datatypes::DataType;

/// Its name inside a data set.
pub const FILE_NAME: &str = "croissant.json";

/// The description, from a manifest that lists its Parquet files.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn render(manifest: &Manifest) -> Result<Vec<u8>> {
    let object = |path: &str, sha256: &str| {
        json!({
            "@type": "cr:FileObject", "@id": path, "name": path, "contentUrl": path, "sha256": sha256,
            "encodingFormat": "application/x-parquet",
        })
    };
    let mut distribution: Vec<Value> = manifest.files.iter().map(|file| object(&file.path, &file.sha256)).collect();
    distribution.push(json!({
        "@type": "cr:FileSet", "@id": "rows", "name": "rows", "includes": "rows/*.parquet",
        "encodingFormat": "application/x-parquet",
    }));
    let rows = schema::row_schema(&manifest.spec);
    let fields: Vec<Value> = rows
        .fields()
        .iter()
        .filter_map(|field| {
            let id = format!("rows/{}", field.name());
            Some(json!({
                "@type": "cr:Field", "@id": id, "name": field.name(), "dataType": data_type(field.data_type())?,
                "source": {"fileSet": {"@id": "rows"}, "extract": {"column": field.name()}},
            }))
        })
        .collect();
    let mut records = vec![json!({
        "@type": "cr:RecordSet", "@id": "rows-records", "name": "rows",
        "description": "One row for each moment (`as_of`) at which a living entity was looked at.", "field": fields,
    })];
    for (file, name, text) in [
        (EVENTS, "events", "One row for each failure."),
        (TRUTH, "truth", "The curve each row was drawn from, where the source is a simulation."),
    ] {
        if manifest.files.iter().any(|entry| entry.path == file) {
            records.push(json!({
                "@type": "cr:RecordSet", "@id": format!("{name}-records"), "name": name, "description": text,
                "field": [{
                    "@type": "cr:Field", "@id": format!("{name}/entity"), "name": "entity", "dataType": "sc:Text",
                    "source": {"fileObject": {"@id": file}, "extract": {"column": "entity"}},
                }],
            }));
        }
    }
    let document = json!({
        "@context": {
            "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/", "dct": "http://purl.org/dc/terms/",
            "rai": "http://mlcommons.org/croissant/RAI/", "conformsTo": "dct:conformsTo", "column": "cr:column",
            "data": {"@id": "cr:data", "@type": "@json"}, "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
            "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract", "field": "cr:field",
            "fileObject": "cr:fileObject", "fileProperty": "cr:fileProperty", "fileSet": "cr:fileSet",
            "format": "cr:format", "includes": "cr:includes", "isLiveDataset": "cr:isLiveDataset",
            "jsonPath": "cr:jsonPath", "key": "cr:key", "md5": "cr:md5", "parentField": "cr:parentField",
            "path": "cr:path", "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
            "repeated": "cr:repeated", "replace": "cr:replace", "separator": "cr:separator", "source": "cr:source",
            "subField": "cr:subField", "transform": "cr:transform",
        },
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": manifest.name,
        "description": manifest.title,
        "license": manifest.licence,
        "url": manifest.source,
        "version": manifest.input_digest,
        "distribution": distribution,
        "recordSet": records,
    });
    let mut bytes = serde_json::to_vec_pretty(&document)
        .map_err(|error| DatasetError::config(FILE_NAME, format!("cannot be written: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Name of a type in schema.org's words; windows are bytes, which Croissant has no word for.
fn data_type(of: &DataType) -> Option<&'static str> {
    match of {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Dictionary(_, _) => Some("sc:Text"),
        DataType::Boolean => Some("sc:Boolean"),
        DataType::Float32 | DataType::Float64 => Some("sc:Float"),
        other if other.is_integer() => Some("sc:Integer"),
        DataType::Timestamp(_, _) => Some("sc:Date"),
        _ => None,
    }
}
