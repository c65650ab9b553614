# Nhật ký kiểm tra: ai đã làm gì, và nhật ký có còn nguyên như lúc ghi không.

err-not-a-moment = "{ $text }" không phải ngày (2026-03-01) cũng không phải thời điểm (2026-03-01T07:00:00Z).
err-audit-key = Không ký được nhật ký: { $detail }. Chưa ghi gì.
err-audit-nothing-wrong = Không thấy gì sai ở nhật ký của { $peer }.

note-audit-whole = Nhật ký nguyên vẹn: { $entries } mục, cấp trên đã ký đến mục { $signed }.
note-audit-broken = Nhật ký KHÔNG còn như lúc ghi, kể từ mục { $entry }. Đừng thay đổi gì, giữ một bản sao thư mục dữ liệu và hỏi cấp trên đã thấy những gì.
note-audit-exported = Đã ghi { $entries } mục và ký bằng khóa của nút này.
note-audit-file-whole = Tệp nguyên vẹn: { $entries } mục. Tệp được ký bằng khóa { $key }; hãy so với "nqsync node show" ở cấp trên.
note-audit-file-broken = Tệp đã bị sửa ở dòng { $line }. { $entries } mục trước đó vẫn như lúc ghi.
note-audit-file-cut = Tệp dừng ở dòng { $line }, sau { $entries } mục: phần cuối bị thiếu.
note-audit-accepted = Đã ghi nhận. Những gì đã thấy ở nhật ký của { $peer } vẫn được giữ.

problem-audit-contradicts = Nhật ký của { $detail } ngắn hơn hoặc khác với những gì đã thấy trước đây. Hãy hỏi nơi đó có khôi phục ổ đĩa không; nếu không thì có người đã sửa. Sau đó "nqsync audit accept { $detail } --reason …".

label-act = Hành động
label-subject = Đối tượng
label-entries = Số mục
label-signed-up-to = Đã ký đến
label-signed-by = Người ký
label-countersigned = Chữ ký của nút bên cạnh
label-key = Khóa
word-audit-cut = nút bên cạnh đã thấy, ở đây không có
word-audit-rewritten = không còn như lúc ghi
word-audit-signature = chữ ký của nút bên cạnh không đúng
