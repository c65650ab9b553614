//! What travels: progress reports with Vietnamese texts, the same for every run of the same seed.

use std::collections::BTreeMap;

use nqsync_core::model::{Facts, UnitId};
use serde_json::{Value, json};
use uuid::Uuid;

/// Tasks of the large child: its reports are spread over them.
pub const TASKS: usize = 1_000;
/// Weeks named in a year; every year has at least as many.
const WEEKS: usize = 50;

const RESULTS: [&str; 10] = [
    "Đã số hoá {} hồ sơ lưu trữ, đạt {} phần trăm kế hoạch tháng",
    "Hoàn thành cập nhật {} trường hợp vào cơ sở dữ liệu quốc gia về dân cư",
    "Đã tổ chức {} buổi tuyên truyền tại nhà văn hoá thôn với {} lượt người tham dự",
    "Tiếp nhận và giải quyết {} thủ tục hành chính trên môi trường điện tử",
    "Rà soát {} hộ gia đình, bổ sung thông tin còn thiếu của {} nhân khẩu",
    "Cấp mới {} tài khoản định danh điện tử mức độ 2 cho người dân trên địa bàn",
    "Kết nối {} camera giám sát với trung tâm điều hành của tỉnh",
    "Đã tập huấn kỹ năng số cho {} cán bộ và {} thành viên tổ công nghệ số cộng đồng",
    "Thanh toán không dùng tiền mặt đạt {} giao dịch trong kỳ báo cáo",
    "Phối hợp với bưu điện trả {} kết quả tận nhà cho người cao tuổi",
];
const DIFFICULTIES: [&str; 8] = [
    "Đường truyền tại thôn số {} chưa ổn định, thường gián đoạn vào buổi chiều",
    "Thiếu {} máy quét, thiết bị cũ hay hỏng",
    "Nhân sự phụ trách kiêm nhiệm {} việc, chưa bố trí được người thay thế",
    "Còn {} hồ sơ giấy bị mờ, phải đối chiếu thủ công với sổ gốc",
    "Người dân vùng sâu chưa có điện thoại thông minh, khoảng {} hộ",
    "Phần mềm của sở chuyên ngành chưa chia sẻ dữ liệu, chờ {} ngày",
    "Kinh phí được cấp mới đạt {} phần trăm dự toán",
    "Không có",
];
const NEXT: [&str; 8] = [
    "Tiếp tục số hoá {} hồ sơ còn lại trước ngày {} tháng sau",
    "Đề nghị cấp trên hỗ trợ {} thiết bị và tập huấn lại cho tổ công tác",
    "Phân công cán bộ xuống {} thôn để hướng dẫn trực tiếp",
    "Đối chiếu số liệu với công an xã và báo cáo lại trong {} ngày",
    "Mở thêm {} điểm hỗ trợ nộp hồ sơ trực tuyến",
    "Hoàn thành {} chỉ tiêu còn lại trong quý",
    "Kiểm tra chéo {} phần trăm hồ sơ đã nhập",
    "Tổng hợp vướng mắc của {} hộ gửi Uỷ ban nhân dân tỉnh",
];
const STATUSES: [&str; 4] = ["in_progress", "continuing", "completed", "not_started"];

/// A small generator of repeatable numbers (SplitMix64): the data must not change with a library's version.
pub struct Dice(u64);

impl Dice {
    /// A generator for one thing out of many.
    pub fn new(seed: u64, index: u64) -> Dice {
        let mut dice = Dice(seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        dice.next();
        dice
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A uuid of version 4.
    pub fn uuid(&mut self) -> Uuid {
        uuid::Builder::from_random_bytes(
            (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes(),
        )
        .into_uuid()
    }

    fn sentence(&mut self, choices: &[&str]) -> String {
        let mut text = String::new();
        for (index, part) in choices[self.below(choices.len())].split("{}").enumerate() {
            if index > 0 {
                text.push_str(&(2 + self.below(900)).to_string());
            }
            text.push_str(part);
        }
        text
    }
}

/// One report as its author types it.
pub struct Report {
    /// Number of its task.
    pub task: usize,
    /// Canonical reporting period.
    pub period: String,
    pub status: &'static str,
    pub percent: String,
    pub result: String,
    pub difficulties: String,
    pub next_steps: String,
}

impl Report {
    /// The report with this number; another `version` is a later state of the same one.
    pub fn numbered(index: usize, version: u64, tasks: usize) -> Report {
        let mut dice = Dice::new(2026 + (version << 32), index as u64);
        let week = index / tasks;
        Report {
            task: index % tasks,
            period: format!("{}-W{:02}", 2024 + week / WEEKS, 1 + week % WEEKS),
            status: STATUSES[dice.below(STATUSES.len())],
            percent: dice.below(101).to_string(),
            result: dice.sentence(&RESULTS),
            difficulties: dice.sentence(&DIFFICULTIES),
            next_steps: dice.sentence(&NEXT),
        }
    }

    /// The values of its registers.
    pub fn values(&self) -> BTreeMap<String, Value> {
        BTreeMap::from([
            (
                "progress".to_owned(),
                json!({ "status": self.status, "percent": self.percent }),
            ),
            ("result".to_owned(), json!(self.result)),
            ("difficulties".to_owned(), json!(self.difficulties)),
            ("next_steps".to_owned(), json!(self.next_steps)),
        ])
    }

    /// Its facts.
    pub fn facts(&self, unit: UnitId, issuer: UnitId, tasks: &[Uuid]) -> Facts {
        Facts::Report {
            unit,
            issuer,
            task: tasks[self.task],
            period: self.period.clone(),
        }
    }

    /// The report as plain JSON, as a system without merge rules would send it: the base of the byte budgets.
    pub fn plain(&self, unit: UnitId, issuer: UnitId, tasks: &[Uuid]) -> String {
        let facts = self.facts(unit, issuer, tasks);
        json!({
            "id": facts.natural_id(), "task": tasks[self.task], "unit": unit, "issuer": issuer,
            "period": self.period, "status": self.status, "percent": self.percent, "result": self.result,
            "difficulties": self.difficulties, "next_steps": self.next_steps, "by": super::PERSON,
            "at": "2026-03-22T03:00:00Z",
        })
        .to_string()
    }
}
