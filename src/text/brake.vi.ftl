# Chốt chặn thay đổi hàng loạt.

err-no-such-hold = Không có thay đổi hàng loạt số { $hold }. "nqsync hold list" liệt kê các thay đổi hiện có.
err-hold-decided = Thay đổi hàng loạt { $hold } đã được quyết định ({ $state }).
err-hold-not-done = Thay đổi hàng loạt { $hold } chưa được thực hiện ({ $state }); không có gì để hoàn lại.
err-hold-too-old = Thay đổi hàng loạt { $hold } đã quá 30 ngày, không thể hoàn lại một lần được nữa.
err-item-held = Mục { $item }: { $reason }. Hãy quyết định toàn bộ bằng "nqsync hold release" hoặc "nqsync hold refuse".

note-held = Lệnh này sẽ xóa hoặc ghi đè { $count } trên { $of } bản ghi nên được giữ lại thành thay đổi hàng loạt { $hold }; chưa có gì thay đổi. "nqsync hold show { $hold }" liệt kê, "nqsync hold release { $hold }" thực hiện, "nqsync hold refuse { $hold } --reason …" bỏ.
note-hold-released = Đã thực hiện thay đổi hàng loạt { $hold }: { $count } bản ghi thay đổi. "nqsync hold undo { $hold }" hoàn lại trong vòng 30 ngày.
note-hold-refused = Đã từ chối thay đổi hàng loạt { $hold }: { $count } bản ghi ở đây giữ nguyên.
note-hold-undone = Đã hoàn lại: { $restored } bản ghi. Có người ghi sau đó nên giữ nguyên: { $since }. Thuộc đơn vị nơi khác, phải hoàn lại ở đó: { $elsewhere }.

problem-held = Số bản ghi của thay đổi hàng loạt đang chờ người quyết định: { $detail }. Xem "nqsync hold list", rồi cho qua hoặc từ chối.

label-changed-since = Đã đổi sau đó
label-decided-at = Quyết định lúc
label-decided-by = Người quyết định
label-elsewhere = Thuộc nơi khác
label-held = Đang giữ
label-hold = Thay đổi hàng loạt
label-loss = Sẽ mất
label-of-records = Trên số bản ghi
label-overwritten = Ghi đè
label-removed = Bị xóa
label-restored = Đã hoàn lại
label-undo-until = Hoàn lại đến

word-hold-open = chờ người quyết định
word-hold-released = đã thực hiện
word-hold-refused = đã từ chối
word-hold-undone = đã hoàn lại
word-hold-passed = đã thực hiện, trong giới hạn
word-loss-removed = bị xóa
word-loss-overwritten = bị ghi đè
