//! One group of requests in one transaction: claims the keys, prices the items, finds or registers the customers, writes
//! the orders with their events, and stores the answers.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::StatusCode;
use broker::{Failure, Outbox, Tx};
use events::OrderPlaced;
use events::values::OrderId;
use time::OffsetDateTime;
use web::idempotency::{self, Answer, Claim, Key};
use web::{FieldError, Problem};

use super::{Pending, Reply, customers};
use crate::domain::Order;
use crate::domain::pricing::{self, Priced, Refusal};
use crate::view::OrderView;
use crate::{status_log, store};

/// Writes `group` and returns a reply for each request. After an error nothing of the group is written. If the connection
/// was lost during the commit, all of it may be written: a repeated request with an idempotency key finds it.
pub(super) async fn write(
    outbox: &Outbox,
    expires_after: Duration,
    group: &[Pending],
) -> Result<Vec<Reply>, Failure> {
    // Postgres stores microseconds, and the answer must show the time that is read later.
    let now = OffsetDateTime::now_utc().truncate_to_microsecond();
    let mut tx = outbox.begin().await?;
    let claims = claim(&mut tx, group).await?;
    let (priced, refused) = price(&mut tx, group, &claims).await?;
    // In reverse, so that a new customer gets the trace of their first request.
    let addresses = priced.iter().rev().map(|&(index, _)| &group[index]);
    let addresses = addresses.map(|pending| (&pending.request.email, pending.traceparent.as_str())).collect();
    let customers = customers::find_or_register(&mut tx, addresses, now).await?;
    let mut orders = Vec::with_capacity(priced.len());
    for (index, Priced { items, total }) in priced {
        let Pending { request, traceparent, .. } = &group[index];
        let (order, event) = Order::place(OrderPlaced {
            order_id: OrderId::new(now),
            customer_id: customers[request.email.expose()],
            items,
            total,
            payment_method: request.payment_method.clone(),
            notify_me: request.notify_me,
            claim: request.claim.clone(),
            placed_at: now,
        });
        status_log::publish(&mut tx, &order, &event, Some(traceparent.clone()))?;
        orders.push((index, order));
    }
    let rows: Vec<_> =
        orders.iter().map(|(index, order)| (order, group[*index].traceparent.as_str())).collect();
    store::orders::insert(&mut tx, &rows, expires_after).await?;
    let answers = store_answers(&mut tx, group, &orders, &refused).await?;
    tx.commit().await?;
    Ok(replies(claims, &answers))
}

/// Returns the claim of each request's key; a request without a key is new.
async fn claim(tx: &mut Tx, group: &[Pending]) -> sqlx::Result<Vec<Claim>> {
    let keyed =
        || group.iter().enumerate().filter_map(|(index, pending)| Some((index, pending.key.as_ref()?)));
    let (indexes, keys): (Vec<usize>, Vec<&Key>) = keyed().unzip();
    let mut claims = vec![Claim::New; group.len()];
    if keys.is_empty() {
        return Ok(claims);
    }
    store::bound_waits(tx).await?;
    for (index, claim) in indexes.iter().zip(idempotency::claim(tx, &keys).await?) {
        claims[*index] = match claim {
            Claim::Repeats(first) => Claim::Repeats(indexes[first]),
            claim => claim,
        };
    }
    Ok(claims)
}

type Indexed<T> = Vec<(usize, T)>;

/// Prices the new requests.
async fn price(
    tx: &mut Tx,
    group: &[Pending],
    claims: &[Claim],
) -> sqlx::Result<(Indexed<Priced>, Indexed<Problem>)> {
    let new: Vec<usize> = (0..group.len()).filter(|&index| claims[index] == Claim::New).collect();
    if new.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let skus: HashSet<&str> =
        new.iter().flat_map(|&index| &group[index].request.items).map(|item| item.sku.as_str()).collect();
    let catalogue = store::products::catalogue(tx, &Vec::from_iter(skus)).await?;
    let (mut priced, mut refused) = (Vec::with_capacity(new.len()), Vec::new());
    for index in new {
        match pricing::price(&group[index].request.items, &catalogue) {
            Ok(items) => priced.push((index, items)),
            Err(refusals) => refused.push((index, problem(&refusals))),
        }
    }
    Ok((priced, refused))
}

fn problem(refusals: &[(usize, Refusal)]) -> Problem {
    let field = |refusal: &Refusal| match refusal {
        Refusal::NotListed | Refusal::OtherCurrency => "sku",
        Refusal::TooLarge => "quantity",
    };
    let error = |(index, refusal): &(usize, Refusal)| {
        FieldError::new(format!("/items/{index}/{}", field(refusal)), refusal.to_string())
    };
    Problem::unprocessable(refusals.iter().map(error).collect())
}

/// Returns the reply of each new request, at its index, and stores it under the request's key. The key of a refused request
/// is released.
async fn store_answers(
    tx: &mut Tx,
    group: &[Pending],
    orders: &Indexed<Order>,
    refused: &Indexed<Problem>,
) -> sqlx::Result<Vec<Option<Reply>>> {
    let mut replies: Vec<Option<Reply>> = vec![None; group.len()];
    for (index, order) in orders {
        let location = Some(format!("/orders/{}", order.id()));
        replies[*index] = Some(Answer::json(StatusCode::ACCEPTED, location, &OrderView::of(order)));
    }
    for (index, problem) in refused {
        replies[*index] = Some(Err(problem.clone()));
    }
    let keyed =
        || group.iter().zip(&replies).filter_map(|(pending, reply)| pending.key.as_ref().zip(reply.as_ref()));
    let answered: Vec<_> = keyed().filter_map(|(key, reply)| Some((key, reply.as_ref().ok()?))).collect();
    let released: Vec<_> = keyed().filter(|(_, reply)| reply.is_err()).map(|(key, _)| key).collect();
    if !answered.is_empty() {
        idempotency::answer(tx, &answered).await?;
    }
    if !released.is_empty() {
        idempotency::release(tx, &released).await?;
    }
    Ok(replies)
}

/// Returns the reply to each request: its own, that of an earlier request with its key, or a problem when its key was used
/// for another request.
fn replies(claims: Vec<Claim>, answers: &[Option<Reply>]) -> Vec<Reply> {
    let own = |index: usize| answers[index].clone().unwrap_or_else(|| Err(Problem::internal()));
    let reply = |(index, claim)| match claim {
        Claim::New => own(index),
        Claim::Repeats(first) => own(first),
        Claim::Replay(answer) => Ok(answer),
        Claim::OtherBody => Err(idempotency::other_body()),
    };
    claims.into_iter().enumerate().map(reply).collect()
}
