# Cảnh báo đỏ.

err-bad-until = Thời gian tắt cảnh báo phải hết vào ngày từ { $first } đến { $last }, không phải { $until }.
err-no-such-warning = Không có cảnh báo { $warning }; xem nqsync warning list.
err-unknown-warning-kind = "{ $kind }" không phải là loại cảnh báo; hãy ghi overdue, behind hoặc insufficient.
err-warning-cleared = Cảnh báo { $warning } không còn nữa; không có gì để tắt.
label-cleared = Đã hết
label-silenced-by = Người tắt
label-until = Đến ngày
label-warning = Cảnh báo
note-warnings-pending = Có nhiệm vụ vừa được ghi sau lần xét cảnh báo gần nhất; dịch vụ sẽ tự xét lại.
status-warnings = { $open } ({ $overdue } quá hạn, { $behind } chậm tiến độ, { $insufficient } chất lượng chưa đạt), đã tắt { $silenced }
warning-silenced = đã tắt đến { $until } bởi { $by }
word-warning-cleared = đã hết
