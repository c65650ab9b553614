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

status-only-here = chưa gửi bản sao lưu lên cấp trên giữ; nếu hỏng đĩa sẽ mất { $count } bản ghi và { $files } tệp chỉ có ở đây
status-deposited = đã gửi cấp trên giữ lúc { $at }; { $count } thay đổi ở đây sau đó chưa có trong bản ấy
status-deposit-unsupported = phiên bản của cấp trên chưa biết giữ bản sao lưu
status-deposit-no-key = "nqsync backup key new --out TỆP" tạo khóa khôi phục cần cho việc đó

err-deposit-no-key = Không có khóa khôi phục thì không gửi: cấp trên không được phép đọc được bản sao lưu. "nqsync backup key new --out TỆP" tạo khóa.
err-deposit-no-parent = Không có đường truyền lên cấp trên để nhờ giữ bản sao lưu. Chưa làm gì; "nqsync backup THƯ_MỤC" tạo bản sao lưu cho ổ đĩa khác.
note-deposit-wanted = Bản sao lưu sẽ gửi lên cấp trên khi không còn gì khác chờ gửi; "nqsync status" cho biết lúc nào xong.

problem-deposit-newer = Cấp trên đang giữ bản sao lưu của nút này mới hơn kho ở đây, như khi vừa khôi phục từ bản cũ; bản đó được giữ lại và từ { $since } không gửi bản mới. Hãy xem có cần đến không ("nqsync restore --from-parent"); nếu kho này mới là đúng: "nqsync backup deposit --anyway".
problem-deposit-refused = Từ { $since } bản sao lưu của nút này không gửi được lên cấp trên: { $detail }
problem-deposit-old = Bản sao lưu gửi cấp trên lần cuối là lúc { $since }. Dịch vụ có chạy và đường truyền có thông không?

err-comeback-not-enrolled = Máy này chưa đăng ký nên không có cấp trên nào trả bản sao lưu. Trước hết hãy chạy "nqsync init" và "nqsync enrol" với mã của đơn vị này; chưa thay đổi gì.
err-comeback-unsent = { $count } bản ghi trên máy này không có ở nơi nào khác và sẽ bị dời sang bên. Hãy để dịch vụ gửi đi trước, hoặc thêm --replace; chưa thay đổi gì.
err-comeback-none = Cấp trên không giữ bản sao lưu nào phù hợp. Đang giữ bản của: { $held }. Chưa thay đổi gì.
err-comeback-line = Không lấy được bản sao lưu từ cấp trên: { $detail }. Chưa thay đổi gì; chạy lại đúng lệnh này, việc lấy sẽ tiếp tục từ chỗ dừng.
restore-fetching = đã lấy { $done } trên { $of } phần
note-restored-elsewhere = { $count } tệp đính kèm không nằm trong bản sao lưu vì cấp trên đang giữ; chúng được lấy về khi dịch vụ chạy.

err-deposit-in-force = Nút { $node } chưa bị ngắt; bản sao lưu đó là chỗ dựa cuối cùng nếu hỏng đĩa. Trước hết phải "nqsync node revoke"; chưa thay đổi gì.
err-deposit-none = Nút { $node } không có bản sao lưu nào ở đây; chưa thay đổi gì.
note-deposit-dropped = Đã bỏ bản sao lưu của nút { $node }.
label-deposited-at = Giữ bản sao lưu từ
label-deposited = Cỡ bản sao lưu đó
