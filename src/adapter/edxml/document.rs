//! Documents of the exchange (edXML, QCVN 102:2016) as JSON, and reports as documents. Pure.
//!
//! A document is read by the local names of its elements: senders differ in prefixes and in what they wrap the envelope in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::Event;
use serde_json::{Value, json};

/// Namespace of the elements.
const NAMESPACE: &str = "http://www.mic.gov.vn/TBT/QCVN_102_2016";
/// Deepest nesting that is read.
const DEPTH: usize = 32;
/// Status of a document that was taken in and registered.
const RECEIVED: &str = "03";

/// An element: its local name, its own text, and what is in it.
#[derive(Debug, Default)]
struct Element {
    name: String,
    text: String,
    inside: Vec<Element>,
}

impl Element {
    fn find(&self, name: &str) -> Option<&Element> {
        let direct = self.inside.iter().find(|element| element.name == name);
        direct.or_else(|| self.inside.iter().find_map(|element| element.find(name)))
    }

    fn all<'e>(&'e self, name: &str, found: &mut Vec<&'e Element>) {
        for element in &self.inside {
            if element.name == name {
                found.push(element);
            }
            element.all(name, found);
        }
    }

    /// The text of the first element with this name inside; empty where there is none.
    fn text(&self, name: &str) -> &str {
        self.find(name).map_or("", |element| element.text.trim())
    }
}

/// Reads a document. `Err`: why it is none.
pub fn read(xml: &str) -> Result<Value, String> {
    let root = parse(xml)?;
    let Some(header) = root.find("MessageHeader") else {
        return Err("has no MessageHeader".to_owned());
    };
    let nothing = Element::default();
    let part = |name: &str| header.find(name).unwrap_or(&nothing);
    let (from, code) = (part("From"), part("Code"));
    let (number, notation) = (code.text("CodeNumber"), code.text("CodeNotation"));
    let full = match (number.is_empty(), notation.is_empty()) {
        (false, false) => format!("{number}/{notation}"),
        _ => format!("{number}{notation}"),
    };
    let mut to = Vec::new();
    header.all("To", &mut to);
    let mut references = Vec::new();
    root.all("Reference", &mut references);
    let attachments = references.iter().map(|reference| {
        json!({ "name": reference.text("AttachmentName"), "type": reference.text("ContentType") })
    });
    let date = part("PromulgationInfo")
        .text("PromulgationDate")
        .replace('/', "-");
    let due = header.text("DueDate").replace('/', "-");
    Ok(json!({
        "document": header.text("DocumentId"),
        "from": from.text("OrganId"),
        "from_name": from.text("OrganName"),
        "to": to.iter().map(|to| to.text("OrganId")).collect::<Vec<_>>(),
        "number": full,
        "date": some(&date),
        "place": part("PromulgationInfo").text("Place"),
        "kind": part("DocumentType").text("TypeName"),
        "subject": header.text("Subject"),
        "content": header.text("Content"),
        "due": some(&due),
        "attachments": attachments.collect::<Vec<_>>(),
    }))
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn parse(xml: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(xml);
    let mut open = vec![Element::default()];
    loop {
        let event = reader.read_event().map_err(|e| e.to_string())?;
        let name = |name: &str| name.to_owned();
        match event {
            Event::Start(element) => {
                if open.len() > DEPTH {
                    return Err(format!("is nested more than {DEPTH} deep"));
                }
                open.push(Element {
                    name: name(element.local_name().as_ref()),
                    ..Element::default()
                });
            }
            Event::Empty(element) => {
                let empty = Element {
                    name: name(element.local_name().as_ref()),
                    ..Element::default()
                };
                open.last_mut().ok_or("is empty")?.inside.push(empty);
            }
            Event::End(_) => {
                let done = open.pop().ok_or("is cut off")?;
                open.last_mut().ok_or("is cut off")?.inside.push(done);
            }
            Event::Text(text) => {
                let text = text.xml_content(quick_xml::XmlVersion::Implicit1_0);
                open.last_mut().ok_or("is empty")?.text.push_str(&text);
            }
            Event::CData(text) => {
                open.last_mut().ok_or("is empty")?.text.push_str(&text);
            }
            Event::GeneralRef(reference) => {
                let found = reference.resolve_char_ref().map_err(|e| e.to_string())?;
                let named = || quick_xml::escape::resolve_predefined_entity(&reference);
                let text = match found {
                    Some(c) => c.to_string(),
                    // No other entity is known: a document must not make this program read or build anything.
                    None => named().ok_or("has an entity of its own")?.to_owned(),
                };
                open.last_mut().ok_or("is empty")?.text.push_str(&text);
            }
            Event::Eof => break,
            _ => {}
        }
    }
    match (open.pop(), open.is_empty()) {
        (Some(root), true) if !root.inside.is_empty() => Ok(root),
        (Some(root), true) if root.text.trim().is_empty() => Err("is empty".to_owned()),
        (Some(_), true) => Err("is no XML".to_owned()),
        _ => Err("is cut off".to_owned()),
    }
}

/// One side of a document.
#[derive(Clone, Debug)]
pub struct Party {
    /// Its id on the exchange.
    pub id: String,
    /// What people call it.
    pub name: String,
}

/// A report to be sent.
pub struct Report<'r> {
    /// Id of the document; the same for every try.
    pub id: String,
    /// The sender.
    pub from: &'r Party,
    /// The recipients.
    pub to: &'r [Party],
    /// Number and notation.
    pub code: (&'r str, &'r str),
    /// Name of the document's kind.
    pub kind: &'r str,
    /// The subject.
    pub subject: &'r str,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// Zone of its dates.
    pub zone: &'r TimeZone,
    /// Name of the attached file.
    pub file: &'r str,
    /// What kind of file it is.
    pub file_type: &'r str,
    /// The attached file.
    pub bytes: &'r [u8],
}

/// A report as a document.
pub fn write(report: &Report<'_>) -> String {
    let (day, moment) = times(report.at, report.zone);
    let to: String = report.to.iter().map(|to| party("To", to)).collect();
    let header = [
        party("From", report.from),
        to,
        inside(
            "Code",
            &[
                ("CodeNumber", report.code.0),
                ("CodeNotation", report.code.1),
            ],
        ),
        inside("PromulgationInfo", &[("PromulgationDate", &day)]),
        // 2: an administrative document.
        inside("DocumentType", &[("Type", "2"), ("TypeName", report.kind)]),
        element("Subject", report.subject),
        element("DocumentId", &report.id),
    ];
    let trace = inside(
        "TraceHeader",
        &[("OrganId", &report.from.id), ("Timestamp", &moment)],
    );
    let content_id = format!("cid:{}", report.id);
    let reference = inside(
        "Reference",
        &[
            ("ContentId", &content_id),
            ("ContentType", report.file_type),
            ("AttachmentName", report.file),
        ],
    );
    let attached = inside(
        "Attachment",
        &[
            ("ContentId", &content_id),
            ("ContentTransferEncoded", &STANDARD.encode(report.bytes)),
        ],
    );
    let envelope = format!(
        "<edXML:edXMLHeader><edXML:MessageHeader>{}</edXML:MessageHeader><edXML:TraceHeaderList>{trace}</edXML:TraceHeaderList></edXML:edXMLHeader>\
         <edXML:edXMLBody><edXML:edXMLManifest version=\"1.0\">{reference}</edXML:edXMLManifest></edXML:edXMLBody>",
        header.concat()
    );
    whole(
        &envelope,
        &format!("<edXML:AttachmentEncoded>{attached}</edXML:AttachmentEncoded>"),
    )
}

/// That a document was received, as a status message. `document`: as [`read`] gave it.
pub fn received(document: &Value, from: &Party, at: i64, zone: &TimeZone) -> String {
    let (_, moment) = times(at, zone);
    let text = |name: &str| document[name].as_str().unwrap_or_default();
    let header = [
        inside(
            "ResponseFor",
            &[
                ("OrganId", text("from")),
                ("Code", text("number")),
                ("PromulgationDate", &text("date").replace('-', "/")),
                ("DocumentId", text("document")),
            ],
        ),
        party("From", from),
        element("StatusCode", RECEIVED),
        element("Timestamp", &moment),
    ];
    let header = header.concat();
    whole(
        &format!("<edXML:edXMLHeader><edXML:Status>{header}</edXML:Status></edXML:edXMLHeader>"),
        "",
    )
}

fn whole(envelope: &str, attached: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<edXML xmlns=\"{NAMESPACE}\" xmlns:edXML=\"{NAMESPACE}\"><edXML:edXMLEnvelope>{envelope}</edXML:edXMLEnvelope>{attached}</edXML>\n"
    )
}

fn times(at: i64, zone: &TimeZone) -> (String, String) {
    let at = Timestamp::from_millisecond(at).unwrap_or_default();
    let at = at.to_zoned(zone.clone());
    (
        at.strftime("%Y/%m/%d").to_string(),
        at.strftime("%Y/%m/%d %H:%M:%S").to_string(),
    )
}

fn party(name: &str, party: &Party) -> String {
    inside(
        name,
        &[
            ("OrganId", &party.id),
            ("OrganizationInCharge", &party.name),
            ("OrganName", &party.name),
        ],
    )
}

fn inside(name: &str, parts: &[(&str, &str)]) -> String {
    let parts: String = parts
        .iter()
        .map(|(name, text)| element(name, text))
        .collect();
    format!("<edXML:{name}>{parts}</edXML:{name}>")
}

fn element(name: &str, text: &str) -> String {
    format!("<edXML:{name}>{}</edXML:{name}>", escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str) -> String {
        let party = |id: &str, name: &str| Party {
            id: id.to_owned(),
            name: name.to_owned(),
        };
        write(&Report {
            id: "3f".to_owned(),
            from: &party("H19.01", name),
            to: &[party("H19", "Tỉnh"), party("H19.02", "Sở")],
            code: ("12", "BC-UBND"),
            kind: "Báo cáo",
            subject: "Kết quả & khó khăn <tháng 3>",
            at: 1_774_148_400_000,
            zone: &TimeZone::UTC,
            file: "a.xlsx",
            file_type: "application/x",
            bytes: b"PK",
        })
    }

    #[test]
    fn a_report_reads_back_as_it_was_written() {
        let read = read(&report("Xã A")).expect("a document");
        assert_eq!(read["number"], "12/BC-UBND");
        assert_eq!(read["date"], "2026-03-22");
        assert_eq!(read["subject"], "Kết quả & khó khăn <tháng 3>");
        assert_eq!(read["to"], json!(["H19", "H19.02"]));
        assert_eq!(read["attachments"][0]["name"], "a.xlsx");
        assert_eq!(
            (&read["document"], &read["from"]),
            (&json!("3f"), &json!("H19.01"))
        );
    }

    #[test]
    fn other_prefixes_and_wrappers_are_read_too() {
        let soap = "<s:Envelope xmlns:s='x'><s:Header><e:MessageHeader xmlns:e='y'><e:From><e:OrganId>H1</e:OrganId></e:From>\
                    <e:Code><e:CodeNumber>7</e:CodeNumber></e:Code><e:Subject><![CDATA[Giao việc]]></e:Subject></e:MessageHeader></s:Header></s:Envelope>";
        let read = read(soap).expect("a document");
        assert_eq!(
            (&read["number"], &read["subject"]),
            (&json!("7"), &json!("Giao việc"))
        );
        assert_eq!(read["date"], Value::Null);
    }

    #[test]
    fn what_is_no_document_is_told_why() {
        assert!(read("<a/>").is_err_and(|why| why.contains("MessageHeader")));
        assert!(read("<a><b>").is_err());
        assert!(read("not xml").is_err());
        let deep = "<a>".repeat(100_000);
        assert!(read(&deep).is_err_and(|why| why.contains("nested")));
        let entity = "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a><MessageHeader><Subject>&x;</Subject></MessageHeader></a>";
        assert!(read(entity).is_err_and(|why| why.contains("entity")));
    }
}
