//! Money in minor units of a currency.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::given::Invalid;

/// An amount of money: `{"amount": 1299, "currency": "EUR"}` is 12.99 euros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"amount": 1299, "currency": "EUR"}))]
pub struct Money {
    /// The amount in minor units (such as cents), never negative.
    #[serde(deserialize_with = "non_negative")]
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_i64)]
    pub amount: i64,
    /// The currency.
    pub currency: Currency,
}

/// Money as a client gives it. Another field is refused, since it may be a misspelt one; in events, fields may be added.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(transparent)]
pub struct GivenMoney(#[serde(with = "OnlyFields")] pub Money);

#[derive(Deserialize)]
#[serde(remote = "Money", deny_unknown_fields, expecting = "an object with amount and currency")]
struct OnlyFields {
    #[serde(deserialize_with = "non_negative")]
    amount: i64,
    currency: Currency,
}

/// The largest integer that every JSON parser reads exactly (2⁵³ − 1).
const MAX_AMOUNT: i64 = 9_007_199_254_740_991;

fn non_negative<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let amount = i64::deserialize(deserializer)?;
    if (0..=MAX_AMOUNT).contains(&amount) {
        Ok(amount)
    } else {
        Err(serde::de::Error::custom("must be from 0 to 9,007,199,254,740,991 minor units"))
    }
}

impl Money {
    /// Reads an amount in minor units, and the code of its currency, from their columns.
    pub fn new(amount: i64, currency: &str) -> Result<Self, Invalid> {
        Ok(Self { amount, currency: currency.parse()? })
    }

    /// Zero, in a currency.
    pub fn zero(currency: Currency) -> Self {
        Self { amount: 0, currency }
    }

    /// Multiplies the amount by `quantity`; `None` when the result is out of range.
    pub fn times(self, quantity: i64) -> Option<Self> {
        let amount = self.amount.checked_mul(quantity).filter(|amount| (0..=MAX_AMOUNT).contains(amount))?;
        Some(Self { amount, ..self })
    }

    /// Adds two amounts; `None` when the sum is out of range or the currencies differ.
    pub fn plus(self, other: Self) -> Option<Self> {
        let amount =
            self.amount.checked_add(other.amount).filter(|amount| (0..=MAX_AMOUNT).contains(amount))?;
        (self.currency == other.currency).then_some(Self { amount, ..self })
    }
}

/// Writes `12.99 EUR`, with as many decimals as the currency has.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = self.currency.decimals();
        let unit = 10_i64.pow(decimals);
        match usize::try_from(decimals) {
            Ok(width @ 1..) => {
                write!(f, "{}.{:0width$} {}", self.amount / unit, self.amount % unit, self.currency)
            }
            _ => write!(f, "{} {}", self.amount, self.currency),
        }
    }
}

/// An ISO 4217 currency code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(try_from = "String", into = "String")]
#[schema(value_type = String, pattern = "^[A-Z]{3}$", example = "EUR")]
pub struct Currency([u8; 3]);

/// The active codes of ISO 4217 (2024) for payments, without funds, metals and test codes.
const CODES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD \
CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD \
HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL \
MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD \
RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD \
UYU UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

impl Currency {
    /// The code.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The number of decimals of the minor unit.
    fn decimals(self) -> u32 {
        match self.as_str() {
            "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX" | "VND"
            | "VUV" | "XAF" | "XOF" | "XPF" => 0,
            "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
            _ => 2,
        }
    }
}

impl FromStr for Currency {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let code: [u8; 3] =
            text.as_bytes().try_into().map_err(|_| Invalid("must be an ISO 4217 code like EUR"))?;
        CODES
            .split(' ')
            .any(|known| known == text)
            .then_some(Self(code))
            .ok_or(Invalid("is not an ISO 4217 code"))
    }
}

impl TryFrom<String> for Currency {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

impl From<Currency> for String {
    fn from(currency: Currency) -> Self {
        currency.as_str().to_owned()
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn money(amount: i64, currency: &str) -> Money {
        Money { amount, currency: currency.parse().unwrap() }
    }

    #[test]
    fn is_displayed_with_the_currencys_decimals() {
        assert_eq!(money(1299, "EUR").to_string(), "12.99 EUR");
        assert_eq!(money(5, "USD").to_string(), "0.05 USD");
        assert_eq!(money(1299, "JPY").to_string(), "1299 JPY");
        assert_eq!(money(1299, "KWD").to_string(), "1.299 KWD");
    }

    #[test]
    fn refuses_invalid_money() {
        for json in [
            r#"{"amount":-1,"currency":"EUR"}"#,
            r#"{"amount":1.5,"currency":"EUR"}"#,
            r#"{"amount":9007199254740992,"currency":"EUR"}"#,
            r#"{"amount":1,"currency":"eur"}"#,
            r#"{"amount":1,"currency":"QQQ"}"#,
        ] {
            assert!(serde_json::from_str::<Money>(json).is_err(), "{json}");
        }
    }

    #[test]
    fn another_field_is_refused_from_clients_and_ignored_in_events() {
        let json = r#"{"amount":1,"currency":"EUR","x":1}"#;
        assert_eq!(serde_json::from_str::<Money>(json).unwrap(), money(1, "EUR"));
        assert!(serde_json::from_str::<GivenMoney>(json).is_err());
        assert_eq!(
            serde_json::from_str::<GivenMoney>(r#"{"amount":1,"currency":"EUR"}"#).unwrap().0,
            money(1, "EUR")
        );
    }

    #[test]
    fn sums_never_overflow_or_mix_currencies() {
        assert_eq!(money(2, "EUR").times(3), Some(money(6, "EUR")));
        assert_eq!(money(i64::MAX / 2, "EUR").times(3), None);
        assert_eq!(money(1, "EUR").plus(money(2, "EUR")), Some(money(3, "EUR")));
        assert_eq!(money(1, "EUR").plus(money(2, "USD")), None);
    }
}
