//! The labels of requests. Each has few values, whatever clients send.

use http::{Method, StatusCode};
use private_media::AccessRecord;

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "other"];
const DECISIONS: [&str; 3] = ["allowed", "denied", "none"];
/// The statuses of responses. The last one stands for all others.
const STATUSES: [&str; 29] = [
    "200", "204", "206", "301", "302", "303", "304", "307", "308", "400", "403", "404", "405", "408", "411",
    "412", "413", "414", "416", "417", "421", "429", "431", "500", "501", "503", "505", "507", "other",
];

/// The method, status and decision of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Labels(usize);

impl Labels {
    /// The number of different labels.
    pub(super) const COUNT: usize = METHODS.len() * DECISIONS.len() * STATUSES.len();

    pub(super) fn new(method: &Method, status: StatusCode, record: Option<&AccessRecord>) -> Self {
        let method = match *method {
            Method::GET => 0,
            Method::HEAD => 1,
            Method::POST => 2,
            Method::PUT => 3,
            Method::DELETE => 4,
            Method::OPTIONS => 5,
            _ => 6,
        };
        let decision = match record {
            Some(record) if record.allowed_by.is_some() => 0,
            Some(record) if record.refused.is_some() => 1,
            _ => 2,
        };
        let other = STATUSES.len() - 1;
        let status = STATUSES.iter().position(|text| *text == status.as_str()).unwrap_or(other);
        Self((method * DECISIONS.len() + decision) * STATUSES.len() + status)
    }

    pub(super) fn index(self) -> usize {
        self.0
    }

    /// Returns method, status and decision for each index, in order.
    pub(super) fn all() -> impl Iterator<Item = [&'static str; 3]> {
        METHODS.into_iter().flat_map(|method| {
            let decided = DECISIONS.into_iter();
            decided
                .flat_map(move |decision| STATUSES.into_iter().map(move |status| [method, status, decision]))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn each_index_has_its_labels() {
        assert_eq!(Labels::all().count(), Labels::COUNT);
        let (mut allowed, mut denied) = (AccessRecord::default(), AccessRecord::default());
        allowed.allowed_by = Some(Arc::from("owner"));
        denied.refused = Some(Arc::from("no"));
        for (method, status, record, expected) in [
            (Method::GET, 200, Some(&allowed), ["GET", "200", "allowed"]),
            (Method::HEAD, 404, Some(&denied), ["HEAD", "404", "denied"]),
            (Method::POST, 507, None, ["POST", "507", "none"]),
            (Method::OPTIONS, 204, Some(&AccessRecord::default()), ["OPTIONS", "204", "none"]),
            (Method::from_bytes(b"MADE-UP").unwrap(), 418, None, ["other", "other", "none"]),
        ] {
            let labels = Labels::new(&method, StatusCode::from_u16(status).unwrap(), record);
            assert_eq!(Labels::all().nth(labels.index()), Some(expected));
        }
    }
}
