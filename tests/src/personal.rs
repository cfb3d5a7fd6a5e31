//! Personal data: the customer of an order, the erasure of an address, and the tables that contain it.

use reqwest::StatusCode;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

use crate::Shop;

impl Shop {
    /// Returns the customer's id of an order, which only the operator sees.
    pub async fn customer_of(&self, order: &str) -> String {
        let get = self.http().get(self.at("order", &format!("/orders/{order}")));
        let answer = self.operator(get).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        let order: Value = answer.json().await.unwrap();
        order["customer_id"].as_str().unwrap_or_else(|| panic!("{order}")).to_owned()
    }

    /// Sends `POST /erasures` to a service and expects 202, whether the service knows the address or not.
    pub async fn erase(&self, service: &str, email: &str) {
        let post = self.http().post(self.at(service, "/erasures")).json(&json!({"email": email}));
        let status = self.operator(post).send().await.unwrap().status();
        assert_eq!(status, StatusCode::ACCEPTED, "POST /erasures of {service}");
    }
}

/// Returns the tables of all services in which a row contains the address, as text or as bytes.
pub async fn tables_with(shop: &Shop, address: &str) -> Vec<String> {
    let mut found = Vec::new();
    for service in shop.system.services() {
        let mut database = PgConnection::connect(shop.system.database_url(service)).await.unwrap();
        let tables = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
                      WHERE schemaname NOT IN ('pg_catalog', 'information_schema')";
        let tables: Vec<String> = sqlx::query_scalar(tables).fetch_all(&mut database).await.unwrap();
        assert!(tables.len() > 4, "{service}: {tables:?}");
        for table in tables {
            let rows = format!(
                "SELECT count(*) FROM {table} AS one WHERE one::text ILIKE '%' || $1 || '%'
                 OR one::text LIKE '%' || encode(convert_to($1, 'UTF8'), 'hex') || '%'"
            );
            let rows = sqlx::query_scalar(AssertSqlSafe(rows)).bind(address);
            let rows: i64 = rows.fetch_one(&mut database).await.unwrap();
            if rows > 0 {
                found.push(format!("{service}: {table}"));
            }
        }
        database.close().await.unwrap();
    }
    found
}
