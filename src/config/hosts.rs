//! Checking URLs, addresses and names of machines.

use toml::Value;

use super::check::{Misfit, as_text, items, misfit, quoted};
use super::problem::Fault;

pub fn url(value: &Value, written: &str) -> Result<Value, Misfit> {
    let text = as_text(value, written, "https://host:port in quotes")?;
    let refuse = |message| {
        let found = quoted(&without_login(text));
        Err(misfit(
            Fault::BadUrl,
            found,
            message,
            "use https://host:port",
        ))
    };
    let Ok(url) = reqwest::Url::parse(text) else {
        return refuse("is not a URL");
    };
    if url.scheme() != "https" {
        refuse("is not https")
    } else if !url.username().is_empty() || url.password().is_some() {
        // The certificate is the login.
        refuse("holds a login")
    } else if url.port() == Some(0) {
        refuse("has port 0")
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        refuse("has more than host and port")
    } else {
        Ok(Value::String(url.as_str().trim_end_matches('/').into()))
    }
}

/// The text without what stands before an `@`: error messages end up in logs, passwords must not.
fn without_login(text: &str) -> String {
    let Some((login, rest)) = text.rsplit_once('@') else {
        return text.into();
    };
    match login.split_once("://") {
        Some((scheme, _)) => format!("{scheme}://***@{rest}"),
        None => format!("***@{rest}"),
    }
}

pub fn address(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected = "host:port, such as \"0.0.0.0:7457\" or \"[::]:7457\"";
    let text = as_text(value, written, expected)?;
    let bad = |message: &str| {
        misfit(
            Fault::BadAddress,
            written,
            message,
            format!("write {expected}"),
        )
    };
    let (host, port) = text.rsplit_once(':').ok_or_else(|| bad("has no port"))?;
    port.parse::<u16>()
        .map_err(|_| bad("has no valid port (0 to 65535)"))?;
    if is_host(host) {
        Ok(value.clone())
    } else {
        Err(bad("has no valid host"))
    }
}

/// A DNS name, an IPv4 address, or an IPv6 address in brackets.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        Some(inner) => inner.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_dns_name(host),
    }
}

fn is_dns_name(name: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.chars().all(|c| c.is_ascii_alphanumeric() || c == '-')
    };
    name.len() <= 253 && name.split('.').all(label)
}

pub fn names(value: &Value, written: &str) -> Result<Value, Misfit> {
    let expected =
        "a list of DNS names and IP addresses, such as [\"province.example.vn\", \"10.1.2.3\"]";
    let list = items(value, written, expected)?;
    if list.is_empty() {
        return Err(misfit(
            Fault::NotAllowed,
            written,
            "is empty",
            format!("write {expected}"),
        ));
    }
    for item in list {
        let name = as_text(item, &item.to_string(), expected)?;
        if name.parse::<std::net::IpAddr>().is_err() && !is_dns_name(name) {
            let message = "is neither a DNS name nor an IP address";
            return Err(misfit(
                Fault::BadAddress,
                quoted(name),
                message,
                format!("write {expected}"),
            ));
        }
    }
    Ok(value.clone())
}
