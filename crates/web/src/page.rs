//! Paged lists: `{"items":[…],"next":cursor|null}`, read with `?cursor=&limit=`. The cursor is opaque to clients: it
//! is the sort key of the last item of a page, as JSON in base64url, so every page costs the same.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::{Problem, Query};

const DEFAULT_LIMIT: u16 = 50;
const MAX_LIMIT: u16 = 200;

/// One page of a list.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; null on the last page.
    #[schema(required)]
    pub next: Option<String>,
}

impl<T> Page<T> {
    pub fn map<U>(self, view: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(view).collect(), next: self.next }
    }
}

/// The query parameters of every list, for its description.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PagingParams {
    /// The `next` of the previous page.
    cursor: Option<String>,
    /// The most items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u16>,
}

/// The requested page. `C` is the sort key of the list, such as a SKU or `(time, id)`.
#[derive(Debug, Clone)]
pub struct Paging<C> {
    /// The sort key after which the page begins; none for the first page.
    pub after: Option<C>,
    limit: u16,
}

impl<C: Serialize> Paging<C> {
    /// The number of rows to query: one more than the page holds, which shows whether there is a next page.
    pub fn rows(&self) -> i64 {
        i64::from(self.limit) + 1
    }

    /// Builds the page of up to [`Paging::rows`] sorted rows; `cursor` returns a row's sort key.
    pub fn page<T>(&self, mut rows: Vec<T>, cursor: impl Fn(&T) -> C) -> Page<T> {
        let more = rows.len() > usize::from(self.limit);
        rows.truncate(self.limit.into());
        let last = rows.last().filter(|_| more).map(cursor);
        let next = last.and_then(|key| serde_json::to_vec(&key).ok()).map(|key| URL_SAFE_NO_PAD.encode(key));
        Page { items: rows, next }
    }
}

impl<S: Send + Sync, C: DeserializeOwned> FromRequestParts<S> for Paging<C> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(asked) = Query::<PagingParams>::from_request_parts(parts, state).await?;
        let limit = asked.limit.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::parameter("limit", "must be from 1 to 200"));
        }
        let unknown = || Problem::parameter("cursor", "must be the next of an earlier page");
        // An empty one asks for the first page, as a loop over pages may begin.
        let given = asked.cursor.filter(|cursor| !cursor.is_empty());
        let after = given.map(|cursor| read(&cursor).ok_or_else(unknown)).transpose()?;
        Ok(Self { after, limit })
    }
}

fn read<C: DeserializeOwned>(cursor: &str) -> Option<C> {
    let key = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    // A sort key may be plain text, and text in Postgres cannot have a NUL. All other values of clients have types that refuse it.
    if key.contains(r"\u0000") { None } else { serde_json::from_str(&key).ok() }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn paging(query: &str) -> Result<Paging<(u32, String)>, Problem> {
        let (mut parts, ()) = Request::get(format!("/products?{query}")).body(()).unwrap().into_parts();
        Paging::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        let key = |row: &u32| (*row, format!("sku-{row}"));
        let first = paging("limit=2&utm_source=mail").await.unwrap();
        assert_eq!(first.rows(), 3);
        let page = first.page(vec![1, 2, 3], key);
        assert_eq!(page.items, [1, 2]);
        let second = paging(&format!("limit=2&cursor={}", page.next.unwrap())).await.unwrap();
        assert_eq!(second.after, Some((2, "sku-2".to_owned())));
        let page = second.page(vec![3, 4], key).map(|row| row * 10);
        assert_eq!((page.items, page.next), (vec![30, 40], None));
        assert_eq!(paging("cursor=").await.unwrap().after, None);
    }

    #[tokio::test]
    async fn a_bad_limit_or_cursor_is_422() {
        let nul = URL_SAFE_NO_PAD.encode(r#"[1,"\u0000"]"#);
        for query in ["limit=0", "limit=201", "limit=x", "cursor=%00", "cursor=abc", &format!("cursor={nul}")]
        {
            assert_eq!(paging(query).await.unwrap_err().status().as_u16(), 422, "{query}");
        }
    }
}
