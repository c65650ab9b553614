# Kỳ báo cáo.

err-indicator-period-closed = Kỳ { $period } của { $unit } đã khóa; chỉ tiêu { $code } không ghi thêm được. Đề nghị cấp trên mở lại kỳ.
err-period-in-conflict = Kỳ { $period } của { $unit } được quyết định khác nhau ở hai nơi. Xem nqsync conflict list và xử lý trước.
err-period-no-unit = Không có đơn vị trực thuộc nào. Hãy nêu tên đơn vị.
err-period-not-accepted = Kỳ { $period } của { $unit } đang { $state }: chưa có gì để duyệt. Đơn vị phải nộp trước.
err-period-not-begun = Kỳ { $period } chưa bắt đầu (đơn vị { $unit }). Hãy kiểm tra lại kỳ.
err-period-not-closed = Kỳ { $period } của { $unit } đang { $state }, chưa khóa được. Hãy duyệt hoặc trả lại bản đã nộp trước.
err-period-not-reopened = Kỳ { $period } của { $unit } đang { $state }; chỉ mở lại được kỳ đã khóa.
err-period-not-returned = Kỳ { $period } của { $unit } đang { $state }: không có gì để trả lại.
err-period-not-submitted = Kỳ { $period } của { $unit } đang { $state }, không nộp được. Hãy đề nghị cấp trên mở lại kỳ.
label-due = Hạn nộp
label-period-expected = Phải nộp
label-period-on-time = Đúng hạn
note-period-missing = Đã nộp; còn thiếu { $missing } báo cáo phải có.
note-period-refused = { $count } đơn vị không thực hiện được bước này; các đơn vị khác đã xong. Mục "refused" trong --json nêu tên.
word-period-accepted = đã duyệt
word-period-locked = đã khóa
word-period-open = đang mở
word-period-reopened = đã mở lại
word-period-returned = bị trả lại
word-period-submitted = đã nộp
