//! One group of requests in one transaction: keys claimed, items priced, customers found or registered, orders and their
//! events written, answers stored.

use std::collections::HashSet;
use std::time::Duration;

use axum::http::StatusCode;
use broker::{Cause, Failure, Outbox, Tx};
use events::OrderPlaced;
use events::values::OrderId;
use time::OffsetDateTime;
use web::idempotency::{self, Answer, Claim, Key};
use web::{FieldError, Problem};

use super::{Placement, Reply, customers};
use crate::announce::Announcement;
use crate::domain::Order;
use crate::domain::pricing::{self, Priced, Refusal};
use crate::store;
use crate::view::OrderView;

/// Writes `group` and returns a reply for each; after an error nothing of it is written (or, when the connection was lost
/// at the commit, perhaps all of it: the caller's idempotency key finds out).
pub(super) async fn write(
    outbox: &Outbox,
    patience: Duration,
    group: &[Placement],
) -> Result<Vec<Reply>, Failure> {
    // What Postgres keeps of a time is a microsecond; an answer may not say more than is read later.
    let now = OffsetDateTime::now_utc().truncate_to_microsecond();
    let mut tx = outbox.begin().await?;
    let claims = claim(&mut tx, group).await?;
    let (priced, refused) = price(&mut tx, group, &claims).await?;
    // From the last to the first: the trace of a new customer is that of their first request.
    let addresses = priced.iter().rev().map(|&(index, _)| &group[index]);
    let addresses =
        addresses.map(|placement| (&placement.request.email, placement.traceparent.as_str())).collect();
    let customers = customers::find_or_register(&mut tx, addresses, now).await?;
    let mut orders = Vec::with_capacity(priced.len());
    for (index, Priced { items, total }) in priced {
        let Placement { request, traceparent, .. } = &group[index];
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
        tx.append(Cause::traced(Some(traceparent.clone())), order.version, &event)?;
        orders.push((index, order));
    }
    if !orders.is_empty() {
        let rows: Vec<_> =
            orders.iter().map(|(index, order)| (order, group[*index].traceparent.as_str())).collect();
        store::orders::insert(&mut tx, &rows, patience).await?;
    }
    let answers = store_answers(&mut tx, group, &orders, &refused).await?;
    let told =
        orders.iter().map(|(index, order)| Announcement::of(order, Some(group[*index].traceparent.clone())));
    let told: Vec<_> = told.collect();
    tx.on_commit(move || told.into_iter().for_each(Announcement::make));
    tx.commit().await?;
    Ok(replies(claims, &answers))
}

/// What each request's key says; a request without one is new.
async fn claim(tx: &mut Tx, group: &[Placement]) -> sqlx::Result<Vec<Claim>> {
    let keyed =
        || group.iter().enumerate().filter_map(|(index, placement)| Some((index, placement.key.as_ref()?)));
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
    group: &[Placement],
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

/// A reply for each request that was new, in its place; stored where the request has a key, which is given back where it
/// was refused.
async fn store_answers(
    tx: &mut Tx,
    group: &[Placement],
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
    let keyed = || {
        group.iter().zip(&replies).filter_map(|(placement, reply)| placement.key.as_ref().zip(reply.as_ref()))
    };
    let answered: Vec<_> = keyed().filter_map(|(key, reply)| Some((key, reply.as_ref().ok()?))).collect();
    let given_back: Vec<_> = keyed().filter(|(_, reply)| reply.is_err()).map(|(key, _)| key).collect();
    if !answered.is_empty() {
        idempotency::answer(tx, &answered).await?;
    }
    if !given_back.is_empty() {
        idempotency::release(tx, &given_back).await?;
    }
    Ok(replies)
}

/// What each request is answered: its own reply, an earlier one's, or that its key was used for another.
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
