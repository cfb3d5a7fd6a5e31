//! Renders messages from the templates of `templates/`. Each kind has a text, whose first line is the subject, and HTML, in which
//! everything that others supplied is escaped.

use events::Item;
use events::values::Money;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, Value};
use minijinja::{AutoEscape, Environment, Error, HtmlEscape, Output, State, escape_formatter};
use serde::Serialize;

use crate::domain::content::Content;
use crate::domain::links::{Linker, Links};

pub(crate) struct MailTemplates {
    environment: Environment<'static>,
    shop: Shop,
    linker: Linker,
}

/// The shop as templates show it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Shop {
    pub name: String,
    /// Its address on the web; `None` while `SHOP_URL` is not set.
    pub url: Option<String>,
}

#[derive(Serialize)]
struct Variables<'a> {
    shop: &'a Shop,
    links: Links,
    #[serde(flatten)]
    content: &'a Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    pub subject: String,
    pub body: String,
}

/// The texts and the HTML by kind.
const TEMPLATES: [(&str, &str); 13] = [
    ("layout.html", include_str!("../../templates/layout.html")),
    ("parts.html", include_str!("../../templates/parts.html")),
    ("order.html", include_str!("../../templates/order.html")),
    ("order_confirmed.txt", include_str!("../../templates/order_confirmed.txt")),
    ("order_confirmed.html", include_str!("../../templates/order_confirmed.html")),
    ("order_cancelled.txt", include_str!("../../templates/order_cancelled.txt")),
    ("order_cancelled.html", include_str!("../../templates/order_cancelled.html")),
    ("order_refunded.txt", include_str!("../../templates/order_refunded.txt")),
    ("order_refunded.html", include_str!("../../templates/order_refunded.html")),
    ("confirm_subscription.txt", include_str!("../../templates/confirm_subscription.txt")),
    ("confirm_subscription.html", include_str!("../../templates/confirm_subscription.html")),
    ("back_in_stock.txt", include_str!("../../templates/back_in_stock.txt")),
    ("back_in_stock.html", include_str!("../../templates/back_in_stock.html")),
];

impl MailTemplates {
    pub(crate) fn new(shop: Shop, linker: Linker) -> Result<Self, Error> {
        let mut environment = Environment::new();
        // A line that holds only a tag is left out.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        environment.set_formatter(escape);
        environment.add_filter("money", |money: Serde<Money>| money.to_string());
        environment.add_filter("price", |item: Serde<Item>| price(&item));
        for (name, source) in TEMPLATES {
            environment.add_template(name, source)?;
        }
        Ok(Self { environment, shop, linker })
    }

    /// Renders the subject and the text.
    pub(crate) fn text(&self, content: &Content) -> Result<Text, Error> {
        let rendered = self.render(content, "txt")?;
        let (subject, body) = rendered.split_once('\n').unwrap_or((&rendered, ""));
        Ok(Text { subject: subject.trim().to_owned(), body: body.trim().to_owned() })
    }

    pub(crate) fn html(&self, content: &Content) -> Result<String, Error> {
        self.render(content, "html")
    }

    /// The link that ends the subscription of the message with one click.
    pub(crate) fn unsubscribe(&self, content: &Content) -> Option<String> {
        self.linker.links(content).unsubscribe
    }

    fn render(&self, content: &Content, form: &str) -> Result<String, Error> {
        let variables = Variables { shop: &self.shop, links: self.linker.links(content), content };
        let name = format!("{}.{form}", <&str>::from(content.kind()));
        self.environment.get_template(&name)?.render(Serde(variables))
    }
}

/// Escapes for HTML as the library does, except slashes, which need no escaping where these templates use them: a link stays
/// readable in the source.
pub(crate) fn escape(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    if matches!(state.auto_escape(), AutoEscape::Html) && !value.is_safe() {
        let escaped = HtmlEscape(&value.to_string()).to_string().replace("&#x2f;", "/");
        return out.write_str(&escaped).map_err(Error::from);
    }
    escape_formatter(out, state, value)
}

fn price(item: &Item) -> String {
    item.unit_price.times(item.quantity.get()).map_or_else(String::new, |price| price.to_string())
}

#[cfg(test)]
mod tests;
