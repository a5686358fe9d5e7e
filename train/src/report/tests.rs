use model::ModelKind;

use super::sample::{CAST, evaluation};
use super::{render, table};

/// Every tag that opens also closes, in order.
fn well_formed(page: &str) {
    let mut open: Vec<&str> = Vec::new();
    for piece in page.split('<').skip(1) {
        let tag = piece.split('>').next().unwrap_or("");
        let name = tag.trim_start_matches('/').split([' ', '\n', '/']).next().unwrap_or("");
        if tag.starts_with('!') || tag.ends_with('/') || name == "meta" {
            continue;
        }
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "closing <{tag}>");
        } else {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
}

#[test]
fn a_page_is_balanced_and_needs_nothing_beside_it() {
    let page = render("Comparison", &evaluation(&CAST), &[("hazard-net".to_owned(), "# Card\n\n- one".to_owned())]);
    well_formed(&page);
    for outside in ["http", "src=", "href=", "url(", "<script", "@import"] {
        assert!(!page.contains(outside), "{outside}");
    }
    for heading in ["Survival", "Calibration", "Precision and recall", "Brier score over time", "Lead time"] {
        assert!(page.contains(&format!("<h3>{heading}</h3>")), "{heading}");
    }
}

#[test]
fn no_attribute_holds_a_number_that_is_none() {
    let page = render("Comparison", &evaluation(&CAST), &[]);
    assert!(!page.contains("NaN"));
    for drawing in page.split("<svg").skip(1) {
        let drawing = drawing.split("</svg>").next().unwrap_or("");
        assert!(!drawing.contains("inf"));
    }
    assert!(page.contains("title=\"no or too few rows fail within this horizon\">–</abbr>"));
}

#[test]
fn names_and_cards_cannot_add_markup() {
    let evil = "<script>alert('1')</script>\" onload=\"x";
    let mut evaluation = evaluation(&[(evil, ModelKind::HazardNet), (evil, ModelKind::Cox)]);
    evaluation.dataset = evil.to_owned();
    evaluation.unit = evil.to_owned();
    evaluation.causes = vec![evil.to_owned()];
    let page = render(evil, &evaluation, &[(evil.to_owned(), evil.to_owned())]);
    assert!(!page.contains("<script"));
    assert!(!page.contains("\" onload"));
    assert!(page.contains("&lt;script&gt;"));
    well_formed(&page);
}

#[test]
fn the_first_line_names_the_leader_the_rival_and_the_margin() {
    let page = render("Comparison", &evaluation(&CAST), &[]);
    let verdict = page.split("<p class=\"verdict\">").nth(1).and_then(|rest| rest.split("</p>").next()).unwrap_or("");
    assert!(
        verdict.starts_with("hazard-net leads discrete-hazard, the best classical rival, on simulated fleet, world B")
    );
    assert!(verdict.contains("difference −0.0021, 95\u{a0}% interval [−0.0034, −0.0008]"), "{verdict}");
}

#[test]
fn an_interval_over_zero_is_no_difference() {
    let mut evaluation = evaluation(&CAST[..2]);
    evaluation.differences[0].difference.high = 0.0004;
    assert!(table(&evaluation).starts_with("No difference shown between hazard-net and discrete-hazard"));
    evaluation.differences[0].difference.low = 0.0001;
    assert!(table(&evaluation).starts_with("discrete-hazard, the best classical rival, leads hazard-net"));
}

#[test]
fn terminal_lines_fit_whatever_the_names() {
    let long = "a model whose name somebody made much longer than any table can bear\nand in two lines";
    let cast = [(long, ModelKind::HazardNet), ("cox", ModelKind::Cox), ("weibull", ModelKind::Weibull)];
    for evaluation in [evaluation(&CAST), evaluation(&cast), evaluation(&cast[..1])] {
        let text = table(&evaluation);
        for line in text.lines() {
            assert!(line.chars().count() <= 120, "{line}");
        }
        assert!(!text.contains("NaN"));
    }
    let text = table(&evaluation(&CAST));
    assert!(text.contains("0.0912 [0.0851, 0.0973]"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("hazard-net") && line.contains(" vs ")).count(), 12);
}

#[test]
fn an_empty_or_bare_evaluation_still_renders() {
    let mut bare = evaluation(&CAST[..1]);
    bare.figures.by_risk.clear();
    bare.figures.calibration.clear();
    bare.figures.precision_recall.clear();
    bare.figures.brier.clear();
    bare.figures.kaplan_meier.clear();
    bare.figures.prevalence = None;
    bare.models[0].lead = crate::evaluate::LeadTimes::default();
    well_formed(&render("Bare", &bare, &[]));
    bare.models.clear();
    bare.edges.clear();
    bare.brier_times.clear();
    well_formed(&render("Empty", &bare, &[]));
    assert!(table(&bare).starts_with("No model was judged"));
}
