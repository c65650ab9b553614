# Việc cần hai người.

err-no-such-approval = Không có đề nghị số { $approval } nào về việc cần hai người. "nqsync approval list" liệt kê các đề nghị hiện có.
err-approval-none = Việc này không cần người thứ hai.
err-approval-who = Việc "{ $act }" ở nút này cần hai người (mục [approval] của cấu hình). Hãy cho biết ai đề nghị: một người dùng của nút này, bằng --login NGƯỜI-DÙNG, hoặc trên trang quản trị.
err-approval-login = Đề nghị { $approval } do một người dùng của nút này quyết định, chứng minh bằng mật khẩu: --login NGƯỜI-DÙNG, hoặc trên trang quản trị.
err-approval-nobody = Việc "{ $act }" ở nút này cần hai người, nhưng không có người dùng nào khác được phê duyệt. Quản trị viên tạo thêm: nqsync user add TÊN --role approver.
err-approval-nobody-else = Việc "{ $act }" ở nút này cần hai người, mà những người khác được duyệt đều do { $name } tạo, hoặc có mật khẩu, vai trò do { $name } đặt. Một quản trị viên khác đặt lại mật khẩu: nqsync user password NGƯỜI_DÙNG.
err-approval-same-person = { $name } là người đề nghị { $approval }; phải do người khác quyết định.
err-approval-not-approver = { $name } không được quyết định đề nghị { $approval }; cần vai trò người phê duyệt hoặc quản trị viên.
err-approval-new-user = { $name } được thêm hoặc bị sửa sau khi có đề nghị { $approval } nên không được quyết định. Người khác quyết định được, hoặc đề nghị lại.
err-approval-made-user = { $name } không quyết định được yêu cầu { $approval }: { $asker }, người lập yêu cầu, đã tạo { $name } hoặc đặt mật khẩu, vai trò cho người này. Người khác quyết định được; hoặc một quản trị viên khác đặt lại mật khẩu cho { $name }, rồi yêu cầu lại.
err-approval-decided = Đề nghị { $approval } không còn chờ nữa ({ $state }).
err-approval-changed = Đối tượng của đề nghị { $approval } đã thay đổi từ khi đề nghị; không thực hiện gì. Hãy từ chối, rồi đề nghị lại nếu vẫn cần.
err-approval-asker-gone = { $name }, người đưa ra đề nghị { $approval }, không còn được làm việc này; không thực hiện gì.
err-approval-too-many = Đã có { $most } đề nghị đang chờ; hãy quyết định bớt trước ("nqsync approval list").
err-login-wrong = Tên và mật khẩu không khớp.
err-login-wait = Sai mật khẩu quá nhiều lần với tên này. Hãy thử lại sau { $seconds } giây.
err-login-busy = Hiện có quá nhiều người đang đăng nhập. Hãy thử lại sau vài giây.
err-not-allowed = Với vai trò { $role }, người dùng này không được làm việc đó. Hãy hỏi quản trị viên.

note-approval-waits = Chưa thực hiện gì: việc này chờ người thứ hai thành đề nghị { $approval }, đến { $until }. "nqsync approval approve { $approval } --login NGƯỜI-DÙNG" hoặc trên trang quản trị.
note-approval-approved = Đề nghị { $approval } đã được phê duyệt và thực hiện.
note-approval-refused = Đề nghị { $approval } đã bị từ chối; không thực hiện gì.

problem-approval = Có việc chờ người thứ hai: { $detail }, từ { $since }. "nqsync approval list" liệt kê.

console-approvals = Việc cần hai người
console-approvals-intro = Một người đề nghị và một người khác phải phê duyệt. Việc được thực hiện đúng như đề nghị, một lần.
console-approval-n = Việc cần hai người số { $n }
console-approval-changed = Đối tượng của việc này đã thay đổi từ khi đề nghị; không phê duyệt được nữa.
console-approval-own = Bạn là người đề nghị; phải do người khác quyết định.
console-approval-not-yours = Việc này do người phê duyệt hoặc quản trị viên quyết định.
console-approve = Phê duyệt và thực hiện
console-refuse = Từ chối

label-approval = Đề nghị
label-asked-by = Người đề nghị
label-command = Chính xác là
label-decision = Quyết định
label-target-changed = Đã thay đổi

word-approval-open = chờ người thứ hai
word-approval-approved = đã phê duyệt và thực hiện
word-approval-refused = đã từ chối
word-approval-expired = hết hạn chưa quyết định

word-act-revocation = cắt một nút, hoặc cho vào lại
word-act-lowering = hạ độ mật của một nhiệm vụ
word-act-ceiling = cho máy này lưu giữ bí mật nhà nước ở một mức
word-act-release = cho qua một thay đổi hàng loạt
word-act-authority = đổi khóa cấp chứng thư
