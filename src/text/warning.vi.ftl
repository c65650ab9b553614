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
notice-foot = Xem: nqsync warning list, nqsync calendar today. Mỗi cảnh báo, mỗi lần nhắc chỉ được gửi một lần.
notice-head = { $unit } { $name }: { $count } nội dung mới.
notice-more = - và { $count } nội dung khác; xem nqsync warning list.
notice-reminder-after = Quá hạn báo cáo: { $regime } { $period }, hạn { $due }. { $count } đơn vị chưa báo cáo: { $units }
notice-reminder-before = Sắp đến hạn báo cáo: { $regime } { $period }, hạn { $due }. { $count } đơn vị còn phải báo cáo: { $units }
notice-warning = Cảnh báo đỏ, { $kind }: { $unit }, { $task } (hạn { $due })
problem-notice = Không gửi được cảnh báo và nhắc việc qua { $detail } (từ { $since }). Hệ thống tự gửi lại.
problem-notify-file = Không gửi được cảnh báo và nhắc việc cho ai: { $detail }
