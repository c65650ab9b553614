# Sao lưu, khôi phục, bản sao trùng, đối chiếu.

err-backup-in-the-way = { $path } không trống. Hãy chỉ ra thư mục chưa tồn tại; chưa ghi gì cả.
err-backup-under-way = Đang có một bản sao lưu ghi vào { $path }. Hãy chờ, hoặc chọn thư mục khác.
err-backup-damaged = Đọc lại bản vừa ghi không đúng nên không có bản sao lưu nào: { $detail }. Hãy kiểm tra ổ đĩa này và ổ đĩa nhận bản sao lưu ("nqsync verify --local").
err-not-a-backup = { $path } không phải là bản sao lưu đầy đủ: { $reason }. Thư mục có đuôi .unfinished là bản bị ngắt giữa chừng, không dùng được.

note-backup-made = Bản sao lưu tại { $path } đã đầy đủ và đã được đọc lại. Bản này đọc được và có khóa riêng: cất nơi người khác không đọc được, trên ổ đĩa khác. Sau "nqsync backup key new" các bản sao lưu sẽ được niêm phong.
note-backup-whole = Bản sao lưu nguyên vẹn: cơ sở dữ liệu, khóa và tệp đúng như lúc ghi.
note-backup-damaged = Bản sao lưu này KHÔNG dùng được: { $found }
note-backup-files = { $count } tệp đính kèm bị thiếu hoặc bị đổi. Bản ghi vẫn khôi phục được; các tệp đó sẽ được lấy lại từ cấp khác nếu ở đó còn.

label-folder = Thư mục
label-made-at = Lập lúc
label-sha256 = SHA-256 của cơ sở dữ liệu
label-aside = Kho cũ nằm ở

err-half-restored = Việc khôi phục ở đây bị ngắt giữa chừng nên nút không khởi động: { $detail }
err-restore-in-the-way = { $dir } đang có kho dữ liệu. Thêm --replace thì kho đó được dời sang tên có ngày giờ và giữ lại; chưa thay đổi gì.
err-restore-damaged = Bản sao lưu này không dùng được: { $found }. Chưa thay đổi gì; hãy dùng bản khác.
err-restore-other-unit = Bản sao lưu là của đơn vị { $found }, thư mục này dành cho đơn vị { $here }. Chưa thay đổi gì; hãy kiểm tra --dir hoặc dùng bản sao lưu của { $here }.
err-restored-waiting = Nút này được khôi phục từ bản sao lưu lúc { $made } nên chưa nhận ghi mới cho đến khi gặp cấp trên một lần và lấy lại phần đã mất. Chưa ghi gì. Hãy chạy dịch vụ khi có đường truyền ("nqsync status" cho biết lúc nào xong), hoặc nếu sẽ không có cấp trên thì "nqsync adopt --alone".
err-nothing-to-adopt = Không có gì phải làm: kho này không chờ ai.

note-restored-waits = Đã khôi phục. Hãy khởi động dịch vụ: nút chưa nhận ghi mới cho đến khi gặp cấp trên một lần và lấy lại phần đã mất; "nqsync status" cho biết lúc nào xong. Nếu sẽ không có cấp trên: "nqsync adopt --alone".
note-restored-top = Đã khôi phục. Hãy khởi động dịch vụ: phần mà các nút cấp dưới còn giữ sẽ trở lại khi từng nút kết nối; "nqsync status" liệt kê các nút chưa kết nối lại.
note-adopted-alone = Nút này lại nhận ghi mới. Những gì đã gửi trước đó mà bản sao lưu không có sẽ trở lại khi cấp trên hoặc cấp dưới đang giữ kết nối lại.

problem-restored-waiting = Đã khôi phục từ bản sao lưu lúc { $detail }; chưa nhận ghi mới cho đến khi gặp cấp trên. Hãy nối lại đường truyền, hoặc "nqsync adopt --alone".
problem-restored-children = Đã khôi phục; chưa đối chiếu lại với các nút cấp dưới sau, có thể còn giữ phần mà bản sao lưu không có: { $detail }.

err-no-such-incarnation = Nút { $unit } không có máy { $incarnation }. "nqsync node clones" liệt kê: { $known }.
note-clones-held = Không mất gì: mỗi máy vẫn làm việc riêng. Hãy tìm xem mọi người đang làm trên máy nào, chọn máy đó bằng "nqsync node adopt ĐƠN_VỊ --incarnation …", rồi chạy "nqsync adopt --new" trên máy kia.
note-node-adopted = Máy được chọn của { $unit } sẽ trao đổi lại ở lần thử tới. Máy kia bị từ chối; lập mã bằng "nqsync node token { $unit }" rồi chạy "nqsync adopt --new --token …" trên máy đó để lấy phần chưa gửi.
problem-cloned = Có hai máy dùng chung danh tính của { $detail }; cả hai bị tạm giữ. "nqsync node clones" liệt kê, "nqsync node adopt" chọn một máy.
label-incarnation = Lần mở kho
label-head = Lần mở mới nhất
word-branch-superseded = đã thay bằng bản khôi phục
word-branch-clone = chờ người quyết định
word-branch-chosen = được đi tiếp
word-branch-refused = bị từ chối
note-adopted-new = Kho này đã có danh tính mới. Hãy khởi động dịch vụ: phần chưa gửi sẽ được gửi lên, còn đơn vị { $unit } vẫn thuộc máy kia nên ở đây không ghi gì mới. Khi "nqsync status" báo không còn gì chờ gửi thì có thể cài lại hoặc tắt máy này.
err-moved = Kho này lần trước chạy trên máy khác. Chưa ghi gì và không trao đổi gì; vẫn đọc được. Nếu đã chuyển sang máy này và máy cũ đã tắt: "nqsync adopt --moved". Nếu đây chỉ là bản sao: để yên, hoặc "nqsync adopt --new".
err-not-moved = Không có gì phải làm: kho này ở đúng máy của nó.
note-adopted-moved = Máy này tiếp tục dùng kho. Máy cũ phải để tắt: nếu cả hai cùng chạy, cấp trên sẽ tạm giữ cả hai.
problem-moved = Kho này lần trước chạy trên máy khác; không trao đổi và không nhận gì mới. Nếu đã chuyển sang đây và máy cũ đã tắt: "nqsync adopt --moved".
err-verify-needs-service = Đối chiếu cần đường truyền nên dịch vụ phải chạy: "nqsync run". "nqsync verify --local" chỉ kiểm tra kho này.
err-verify-no-parent = Không có cấp trên để đối chiếu. "nqsync verify --local" kiểm tra kho này; từng nút cấp dưới tự đối chiếu với nút này.
err-verify-refused = Chưa đối chiếu và chưa thay đổi gì: { $detail }. Thử lại không giúp ích; "nqsync status" cho biết ai phải xử lý.
err-verify-unreachable = Việc đối chiếu bị ngắt: { $detail }. Chưa thay đổi gì; hãy thử lại.
note-verify-same = Hai cấp cùng giữ { $records } bản ghi như nhau.
note-verify-repaired = Hai cấp lại cùng giữ { $records } bản ghi như nhau; trước đó khác { $before }.
note-verify-differs = { $count } bản ghi khác nhau. "nqsync verify --repair" để hai bên chào lại các bản ghi đó.
note-verify-stays = { $count } bản ghi vẫn khác sau khi chào lại. Hãy xem "nqsync quarantine list" ở cả hai cấp.
note-verify-undamaged = Kho này nguyên vẹn: { $records } bản ghi và { $files } tệp đúng như lúc ghi.
note-verify-damaged = Kho này BỊ HỎNG: { $found }. Đừng thay đổi thêm, hãy kiểm tra ổ đĩa và khôi phục bản sao lưu gần nhất; phần đã gửi sẽ trở lại từ cấp khác.
note-verify-files = { $count } tệp đính kèm bị thiếu hoặc hỏng; "nqsync verify --local --repair" để lấy lại.
note-verify-files-again = { $count } tệp đính kèm bị thiếu hoặc hỏng và đang được lấy lại từ cấp còn giữ.
note-verify-standings = Tình trạng công việc lưu sẵn của { $count } việc không khớp với bản ghi. Chạy lại với --repair để tính lại; không có báo cáo nào bị mất.
note-verify-standings-again = Tình trạng công việc lưu sẵn của { $count } việc không khớp với bản ghi và đang được tính lại.
label-side = Nơi giữ
label-differ = Không đúng như lúc ghi
word-holder-here = chỉ ở đây
word-holder-there = chỉ ở cấp trên
word-holder-both = hai bên khác nhau
