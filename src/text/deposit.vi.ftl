# Khóa khôi phục, bản sao lưu niêm phong, bản gửi ở cấp trên.

err-recovery-key-set = Nút này đã có khóa khôi phục ({ $key }) và các bản sao lưu được niêm phong cho khóa đó. Chưa thay đổi gì. Thêm --replace để thay bằng khóa khác; giữ lại tệp cũ để mở các bản sao lưu cũ.
err-recovery-key-bad = Nội dung đưa vào không phải là khóa khôi phục; chưa thay đổi gì. "nqsync backup key new" tạo khóa.
err-recovery-file-exists = { $path } đã có nên không ghi đè: đó có thể là khóa duy nhất của các bản sao lưu cũ. Hãy chọn tên tệp khác.
err-recovery-file-bad = { $path } không dùng làm khóa khôi phục được: { $reason }
err-recovery-file-exposed = Người dùng khác đọc được { $path }. Nếu không ai khác dùng máy này: chmod 600 { $path }. Nếu không chắc, hãy tạo khóa khôi phục mới.
err-sealed-no-key = { $path } được niêm phong cho khóa khôi phục { $key }. Hãy chỉ tệp của khóa đó bằng --key; chưa thay đổi gì.
err-sealed-other-key = { $path } được niêm phong cho khóa khôi phục { $wanted }; tệp đã chỉ chứa khóa { $given }. Chưa thay đổi gì; hãy lấy đúng tệp khóa trong két.
err-sealed-damaged = { $path } không dùng được: { $what }. Chưa thay đổi gì; hãy dùng bản sao lưu khác.
err-sealed-crypto = Không niêm phong được: { $detail }. Chưa ghi gì.
err-not-sealed = { $path } không niêm phong nên không cần khóa. Hãy bỏ --key; chưa thay đổi gì.

note-backup-sealed = Bản sao lưu tại { $path } đã đầy đủ, được niêm phong cho khóa khôi phục { $key } và đã được đọc lại. Không có tệp của khóa đó thì không ai mở được.
note-backup-sealed-whole = Mọi phần của bản sao lưu niêm phong này đúng như lúc ghi. Thêm --key để xem cả nội dung bên trong.
note-recovery-key = Từ nay các bản sao lưu được niêm phong cho khóa này. Tệp đó là cách duy nhất để mở: hãy cất vào két, không để trên máy này, và xóa bản ở đây.
note-recovery-key-none = Chưa có khóa khôi phục: ai lấy được bản sao lưu cũng đọc được. "nqsync backup key new --out TỆP" tạo khóa.

label-recovery-key = Khóa khôi phục
