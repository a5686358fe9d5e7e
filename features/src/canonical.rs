//! From source series to canonical rows: mapping looked up once per series, every value checked.
