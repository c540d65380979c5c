//! The panels of a dashboard of Grafana, and the time series that they show.

use serde_json::Value;

/// A panel. Its place is in units of Grafana's grid, which has 24 columns.
#[derive(Debug)]
pub(super) struct Panel {
    pub(super) title: String,
    /// Whether it shows the last value, not a graph.
    pub(super) is_stat: bool,
    pub(super) unit: String,
    pub(super) place: [u32; 4],
    pub(super) targets: Vec<Target>,
    pub(super) series: Vec<Series>,
}

/// A query of a panel.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) expression: String,
    /// The name of each series, with labels in `{{…}}`.
    pub(super) legend: String,
}

/// The values of a line in a graph, with their times in seconds.
#[derive(Debug)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// Returns the panels of a dashboard.
pub(super) fn panels(dashboard: &str) -> Result<Vec<Panel>, String> {
    let dashboard: Value =
        serde_json::from_str(dashboard).map_err(|error| format!("the dashboard: {error}"))?;
    let panels = dashboard.get("panels").and_then(Value::as_array).ok_or("the dashboard has no panels")?;
    panels.iter().map(|value| panel(value).ok_or_else(|| format!("a panel lacks a field: {value}"))).collect()
}

fn panel(panel: &Value) -> Option<Panel> {
    let text = |pointer: &str| panel.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let place = ["x", "y", "w", "h"].map(|side| {
        panel
            .pointer(&format!("/gridPos/{side}"))
            .and_then(Value::as_u64)
            .and_then(|side| u32::try_from(side).ok())
    });
    let [x, y, w, h] = place;
    let target = |target: &Value| {
        let text = |field| target.get(field).and_then(Value::as_str).map(str::to_owned);
        Some(Target { expression: text("expr")?, legend: text("legendFormat")? })
    };
    Some(Panel {
        title: text("/title")?,
        is_stat: text("/type")? == "stat",
        unit: text("/fieldConfig/defaults/unit")?,
        place: [x?, y?, w?, h?],
        targets: panel.get("targets")?.as_array()?.iter().map(target).collect::<Option<_>>()?,
        series: vec![],
    })
}

/// Returns the time series in a response of Prometheus. Values that are no numbers are left out.
pub(super) fn series(response: &str, legend: &str) -> Option<Vec<Series>> {
    let response: Value = serde_json::from_str(response).ok()?;
    let found = response.pointer("/data/result")?.as_array()?;
    let point = |point: &Value| {
        let value: f64 = point.get(1)?.as_str()?.parse().ok()?;
        Some((point.get(0)?.as_f64()?, value)).filter(|_| value.is_finite())
    };
    let one = |series: &Value| {
        let labels = series.get("metric")?.as_object()?;
        let name = labels.iter().fold(legend.to_owned(), |name, (label, value)| {
            name.replace(&format!("{{{{{label}}}}}"), value.as_str().unwrap_or_default())
        });
        Some(Series { name, points: series.get("values")?.as_array()?.iter().filter_map(point).collect() })
    };
    let found: Option<Vec<_>> = found.iter().map(one).collect();
    Some(found?.into_iter().filter(|series| !series.points.is_empty()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn series_are_named_by_their_labels() {
        let response = r#"{"status":"success","data":{"result":[
            {"metric":{"status":"200"},"values":[[10,"1.5"],[12,"NaN"],[14,"2"]]},
            {"metric":{"status":"404"},"values":[[10,"NaN"]]}]}}"#;
        let found = series(response, "status {{status}}").unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!((&*found[0].name, &*found[0].points), ("status 200", &[(10.0, 1.5), (14.0, 2.0)][..]));
        assert!(series("{}", "").is_none());
    }
}
