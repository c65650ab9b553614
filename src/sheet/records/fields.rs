//! The headings of tables of units, indicators and reports, folded.

use crate::sheet::header::Schema;

/// What the columns of a table of units mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Code,
    Name,
    ShortName,
    Parent,
    Level,
    Aliases,
}

pub(super) const UNITS: Schema<'_, Unit> = Schema {
    whole: &[
        (
            Unit::Code,
            &[
                "code",
                "ma",
                "ma dv",
                "ma don vi",
                "unit code",
                "ma dinh danh",
            ],
        ),
        (
            Unit::Name,
            &[
                "name",
                "ten",
                "ten don vi",
                "ten dv",
                "don vi",
                "co quan don vi",
            ],
        ),
        (
            Unit::ShortName,
            &[
                "short name",
                "ten tat",
                "ten viet tat",
                "viet tat",
                "ten ngan",
                "ten rut gon",
            ],
        ),
        (
            Unit::Parent,
            &["parent", "parent code", "truc thuoc", "thuoc", "don vi cha"],
        ),
        (
            Unit::Level,
            &["level", "kind", "cap", "loai", "loai don vi", "cap don vi"],
        ),
        (
            Unit::Aliases,
            &["aliases", "alias", "ten khac", "ten goi khac"],
        ),
    ],
    part: &[
        (Unit::Parent, "truc thuoc"),
        (Unit::Parent, "cap tren"),
        (Unit::Parent, "don vi cha"),
        (Unit::Aliases, "ten khac"),
        (Unit::Aliases, "ten goi khac"),
        (Unit::ShortName, "viet tat"),
        (Unit::Code, "ma don vi"),
        (Unit::Name, "ten don vi"),
        (Unit::Name, "ten co quan"),
    ],
    enough: |fields| fields.contains(&Unit::Code) && fields.contains(&Unit::Name),
};

/// What the columns of a table of indicators mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Indicator {
    Group,
    Code,
    Name,
    Unit,
    Kind,
    Comparator,
    Target,
    Numerator,
    Denominator,
    StatedPercent,
    AsOf,
    Note,
}

pub(super) const INDICATORS: Schema<'_, Indicator> = Schema {
    whole: &[
        (
            Indicator::Group,
            &["group", "section", "nhom", "muc", "linh vuc"],
        ),
        (
            Indicator::Code,
            &["no", "code", "stt", "tt", "ma", "ma chi tieu", "so thu tu"],
        ),
        (
            Indicator::Name,
            &[
                "indicator name",
                "indicator",
                "name",
                "chi tieu",
                "ten chi tieu",
                "noi dung chi tieu",
            ],
        ),
        (
            Indicator::Unit,
            &["unit", "don vi tinh", "dvt", "don vi do"],
        ),
        (
            Indicator::Kind,
            &["kind", "loai", "loai chi tieu", "cach tinh"],
        ),
        (
            Indicator::Comparator,
            &["comparator", "so sanh", "dau so sanh"],
        ),
        (
            Indicator::Target,
            &["target value", "target", "muc tieu", "ke hoach"],
        ),
        (
            Indicator::Numerator,
            &[
                "numerator",
                "value",
                "tu so",
                "so lieu",
                "gia tri",
                "ket qua",
                "thuc hien",
            ],
        ),
        (
            Indicator::Denominator,
            &["denominator", "mau so", "tong so"],
        ),
        (
            Indicator::StatedPercent,
            &["stated percent", "percent", "ty le", "ti le", "phan tram"],
        ),
        (
            Indicator::AsOf,
            &[
                "as of or period",
                "as of",
                "period",
                "ky",
                "ky bao cao",
                "thoi diem",
            ],
        ),
        (Indicator::Note, &["note", "ghi chu"]),
    ],
    part: &[
        (Indicator::Numerator, "tu so"),
        (Indicator::Denominator, "mau so"),
        (Indicator::Target, "muc tieu"),
        (Indicator::Target, "chi tieu giao"),
        (Indicator::Target, "ke hoach"),
        (Indicator::Unit, "don vi tinh"),
        (Indicator::Name, "ten chi tieu"),
        (Indicator::StatedPercent, "ty le"),
        (Indicator::StatedPercent, "ti le"),
        (Indicator::Numerator, "ket qua"),
        (Indicator::Name, "chi tieu"),
        (Indicator::AsOf, "ky bao cao"),
        (Indicator::AsOf, "thoi diem"),
    ],
    enough: |fields| {
        let figures = [
            Indicator::Target,
            Indicator::Numerator,
            Indicator::StatedPercent,
            Indicator::Unit,
        ];
        fields.contains(&Indicator::Name) && figures.iter().any(|field| fields.contains(field))
    },
};

/// What the columns of a table of progress reports mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    Task,
    Unit,
    Period,
    Status,
    Percent,
    Numerator,
    Denominator,
    Result,
    Difficulties,
    NextSteps,
}

pub(super) const REPORTS: Schema<'_, Report> = Schema {
    whole: &[
        (
            Report::Task,
            &[
                "task",
                "task no",
                "task id",
                "ma nhiem vu",
                "so nhiem vu",
                "ma",
                "so hieu nhiem vu",
            ],
        ),
        (
            Report::Unit,
            &[
                "unit",
                "unit code",
                "don vi",
                "ma don vi",
                "ma dv",
                "don vi bao cao",
                "don vi thuc hien",
            ],
        ),
        (
            Report::Period,
            &["period", "ky", "ky bao cao", "thang", "tuan", "quy"],
        ),
        (Report::Status, &["status", "trang thai", "tinh trang"]),
        (
            Report::Percent,
            &["percent", "phan tram", "ty le", "ti le", "tien do"],
        ),
        (Report::Numerator, &["numerator", "tu so"]),
        (Report::Denominator, &["denominator", "mau so"]),
        (Report::Result, &["result", "ket qua"]),
        (
            Report::Difficulties,
            &["difficulties", "kho khan", "vuong mac"],
        ),
        (
            Report::NextSteps,
            &["next steps", "ke hoach tiep theo", "phuong huong"],
        ),
    ],
    part: &[
        (Report::Task, "ma nhiem vu"),
        (Report::Task, "so nhiem vu"),
        (Report::Period, "ky bao cao"),
        (Report::Status, "trang thai"),
        (Report::Status, "tinh trang"),
        (Report::Percent, "phan tram"),
        (Report::Percent, "ty le"),
        (Report::Percent, "ti le"),
        (Report::Percent, "hoan thanh"),
        (Report::Difficulties, "kho khan"),
        (Report::Difficulties, "vuong mac"),
        (Report::NextSteps, "tiep theo"),
        (Report::NextSteps, "ky toi"),
        (Report::NextSteps, "phuong huong"),
        (Report::Result, "ket qua"),
        (Report::Numerator, "tu so"),
        (Report::Denominator, "mau so"),
        (Report::Task, "nhiem vu"),
        (Report::Task, "stt"),
        (Report::Unit, "don vi"),
    ],
    enough: |fields| {
        let content = [Report::Status, Report::Percent, Report::Result];
        fields.contains(&Report::Task) && content.iter().any(|field| fields.contains(field))
    },
};

/// A comparator at the beginning of a text, in signs or in (folded) words, and the rest.
pub(super) fn comparator(text: &str) -> Option<(&'static str, &str)> {
    const COMPARATORS: [(&str, &str); 17] = [
        (">=", ">="),
        ("≥", ">="),
        ("=>", ">="),
        ("<=", "<="),
        ("≤", "<="),
        ("=<", "<="),
        (">", ">"),
        ("<", "<"),
        ("==", "="),
        ("=", "="),
        ("toi thieu", ">="),
        ("it nhat", ">="),
        ("tu", ">="),
        ("toi da", "<="),
        ("tren", ">"),
        ("duoi", "<"),
        ("dat", "="),
    ];
    COMPARATORS
        .iter()
        .find_map(|(sign, meaning)| Some((*meaning, text.strip_prefix(sign)?.trim_start())))
}
