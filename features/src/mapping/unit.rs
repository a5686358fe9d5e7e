//! Units of sources, and what brings them to the base units of the catalogue.

/// Source unit (UCUM), canonical unit, factor, and the word by which Prometheus names it.
const UNITS: [(&str, &str, f64, &str); 17] = [
    ("By", "By", 1.0, "bytes"),
    ("KiBy", "By", 1024.0, "kibibytes"),
    ("MiBy", "By", 1_048_576.0, "mebibytes"),
    ("GiBy", "By", 1_073_741_824.0, "gibibytes"),
    ("kBy", "By", 1e3, "kilobytes"),
    ("MBy", "By", 1e6, "megabytes"),
    ("s", "s", 1.0, "seconds"),
    ("ms", "s", 1e-3, "milliseconds"),
    ("us", "s", 1e-6, "microseconds"),
    ("ns", "s", 1e-9, "nanoseconds"),
    ("min", "s", 60.0, "minutes"),
    ("h", "s", 3600.0, "hours"),
    ("1", "1", 1.0, "ratio"),
    ("%", "1", 0.01, "percent"),
    ("{cpu}", "{cpu}", 1.0, ""),
    ("m{cpu}", "{cpu}", 1e-3, ""),
    ("Cel", "Cel", 1.0, "celsius"),
];

/// The factor from a source's unit to the canonical one: from the table, or as the row says where no table can know
/// it (milliseconds of a 20 s interval to a share).
///
/// # Errors
/// When neither knows it, both know it and differ, or it is not above 0.
pub(super) fn factor(from: Option<&str>, scale: Option<f64>, to: &str) -> Result<f64, String> {
    if let Some(scale) = scale.filter(|scale| !(scale.is_finite() && *scale > 0.0)) {
        return Err(format!("scale {scale} must be above 0"));
    }
    let Some(from) = from else { return Ok(scale.unwrap_or(1.0)) };
    let known = if from == to { Some(1.0) } else { UNITS.iter().find(|u| u.0 == from && u.1 == to).map(|u| u.2) };
    match (known, scale) {
        (Some(known), None) => Ok(known),
        (Some(known), Some(scale)) if (known - scale).abs() <= 1e-12 * known => Ok(known),
        (Some(known), Some(scale)) => Err(format!("scale {scale} from {from} to {to}: it is {known}; leave it out")),
        (None, Some(scale)) => Ok(scale),
        (None, None) => Err(format!("no way known from {from:?} to {to:?}; give unit.scale")),
    }
}

/// The word that Prometheus puts behind a metric's name for a unit, empty where it puts none.
pub(super) fn word(unit: &str) -> &'static str {
    UNITS.iter().find(|u| u.0 == unit).map_or("", |u| u.3)
}
