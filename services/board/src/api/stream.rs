//! Server-Sent Events. Each stream ends with the service, and browsers connect again by themselves.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures::Stream;
use futures::stream::unfold;
use serde_json::json;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;
use web::Path;

use super::app::App;
use super::html::Pages;
use super::shop::order_content;
use crate::domain::Offer;
use crate::live::{Live, News, now};

/// The time between two frames.
const FRAME: Duration = Duration::from_millis(250);
/// The number of frames between two looks at the groups' table.
const TABLES: u32 = 4;
/// The shortest time between two messages about an order.
const PAUSE: Duration = Duration::from_millis(150);

type Message = Result<Event, Infallible>;

/// Takes frames out of the model and sends them to the open pages, until `stop`.
pub(crate) async fn send_frames(live: Arc<Live>, pages: Arc<Pages>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(FRAME);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut number, mut last_groups) = (0_u32, Vec::new());
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        let frame = live.model().take_frame(now());
        if let Ok(json) = serde_json::to_string(&frame) {
            let _ = live.news.send(News::Frame(json.into()));
        }
        number = number.wrapping_add(1);
        if number % TABLES == 0 {
            let groups = live.model().groups();
            if groups != last_groups {
                match pages.render("groups.html", json!({"groups": groups})) {
                    Ok(html) => _ = live.news.send(News::Groups(html.into())),
                    Err(error) => tracing::error!(%error, "the groups do not render"),
                }
                last_groups = groups;
            }
        }
    }
    live.ended.cancel();
}

/// `GET /board/stream`: frames as `frame` events with JSON; the groups as HTML that replaces parts of the page.
pub(super) async fn board(State(app): State<App>) -> Sse<impl Stream<Item = Message>> {
    let message = |news| match news {
        News::Frame(json) => Event::default().event("frame").data(json),
        News::Groups(html) => Event::default().data(html),
    };
    follow(&app.live, app.live.news.subscribe(), message)
}

/// `GET /stock/stream`: each product that changes, as JSON.
pub(super) async fn stock(State(app): State<App>) -> Sse<impl Stream<Item = Message>> {
    let message = |offer: Offer| {
        let json = serde_json::to_string(&offer).unwrap_or_default();
        Event::default().event("stock").data(json)
    };
    follow(&app.live, app.live.stock.subscribe(), message)
}

/// Sends what `news` brings. A browser that is too slow misses some; the next ones bring it up to date.
fn follow<T, F>(live: &Live, news: Receiver<T>, message: F) -> Sse<impl Stream<Item = Message> + use<T, F>>
where
    T: Clone + Send + 'static,
    F: Fn(T) -> Event + Send + 'static,
{
    let ended = live.ended.clone();
    let stream = unfold((news, ended, message), async |(mut news, ended, message)| {
        loop {
            match ended.run_until_cancelled(news.recv()).await? {
                Ok(item) => return Some((Ok(message(item)), (news, ended, message))),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}

/// `GET /orders/{id}/stream`: the order's stations as HTML, whenever they change.
pub(super) async fn order(
    State(app): State<App>,
    Path(id): Path<String>,
) -> Sse<impl Stream<Item = Message>> {
    let changes = app.live.changed.subscribe();
    let stream = unfold((app, id, changes, String::new()), async |(app, id, mut changes, last)| {
        loop {
            let html = app.pages.render("stations.html", order_content(&app, &id)).ok()?;
            if html != last {
                return Some((Ok(Event::default().data(&html)), (app, id, changes, html)));
            }
            app.live.ended.run_until_cancelled(changes.changed()).await?.ok()?;
            tokio::time::sleep(PAUSE).await;
        }
    });
    Sse::new(stream).keep_alive(KeepAlive::default())
}
