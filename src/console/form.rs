//! What a form sent: its fields, and that it came from a page of this session.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::Console;
use super::ask::Person;
use super::door;

/// The field of every form that only a page of the same session knows.
pub const TOKEN: &str = "form";
/// Time for a whole form to come.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fields of a form or of an address.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Of a body or of what stands behind `?`.
    pub fn parse(text: &[u8]) -> Fields {
        let pairs = form_urlencoded::parse(text);
        Fields(
            pairs
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect(),
        )
    }

    /// The first value of a field without spaces around it; `None` when it is empty or absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.raw(name)
            .map(str::trim)
            .filter(|text| !text.is_empty())
    }

    /// The same as text of its own.
    pub fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    /// The first value as it came. A field that a person emptied is `Some("")`.
    pub fn raw(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// The fields whose name begins so, by the rest of it, as they came.
    pub fn under(&self, prefix: &str) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .filter_map(move |(name, value)| Some((name.strip_prefix(prefix)?, value.as_str())))
    }

    /// Units as they are typed into one field, one on each line or with `;` between them.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = self.raw(name).unwrap_or_default();
        text.split(['\n', ';'])
            .map(|line| line.trim().to_owned())
            .filter(|line| !line.is_empty())
            .collect()
    }
}

/// What stands behind `?` in an address.
pub struct Asked(pub Fields);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let query = parts.uri.query().unwrap_or_default();
        Ok(Asked(Fields::parse(query.as_bytes())))
    }
}

/// A form of a logged-in person.
pub struct Sent {
    /// Who.
    pub person: Person,
    /// What.
    pub fields: Fields,
}

impl FromRequest<Arc<Console>> for Sent {
    type Rejection = Response;

    async fn from_request(request: Request, console: &Arc<Console>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let person = Person::from_request_parts(&mut parts, console).await?;
        let request = Request::from_parts(parts, body);
        let body = tokio::time::timeout(PATIENCE, Bytes::from_request(request, console)).await;
        let Ok(Ok(body)) = body else {
            return Err(axum::http::StatusCode::BAD_REQUEST.into_response());
        };
        let fields = Fields::parse(&body);
        if !door::same(fields.raw(TOKEN).unwrap_or_default(), &person.form_token) {
            return Err(door::foreign_form(console, &person));
        }
        Ok(Sent { person, fields })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_trimmed_and_an_emptied_one_is_told_from_an_absent_one() {
        let fields = Fields::parse("a=+x+&b=&units=24001%0D%0A24002%3B+24003".as_bytes());
        assert_eq!(fields.get("a"), Some("x"));
        assert_eq!((fields.get("b"), fields.raw("b")), (None, Some("")));
        assert_eq!((fields.get("c"), fields.raw("c")), (None, None));
        assert_eq!(fields.lines("units"), ["24001", "24002", "24003"]);
        let under: Vec<_> = fields.under("un").collect();
        assert_eq!(under[0].0, "its");
    }
}
