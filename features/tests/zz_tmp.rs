#[test]
fn standard_loads() {
    let c = features::Catalogue::standard();
    let m = features::mapping::MappingSet::standard(&c);
    println!("{} sources", m.sources().len());
    for (name, text) in features::spec::SHIPPED {
        match features::FeatureSpec::from_toml(text, &c) { Ok(s) => println!("{name} {} columns", s.flat.len()), Err(e) => println!("{name}: {e}") }
    }
}
