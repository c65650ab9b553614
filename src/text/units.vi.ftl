# Đơn vị chuyển, sáp nhập, chia tách, hoặc đổi máy chủ.

err-bad-day = "{ $day }" không phải là ngày có thật. Hãy ghi 15/3/2026 hoặc 2026-03-15.
err-heir-no-successor = Đơn vị thừa kế { $heir } không nằm trong số đơn vị tiếp tục. Hãy nêu cả bằng --into.
err-unit-in-itself = { $other } thuộc hoặc chính là { $unit }; một đơn vị không thể nhập vào chính nó.
err-unit-beyond = { $unit } không trực thuộc nút này. Việc chuyển một đơn vị sang nhánh khác, hay để đơn vị ở nhánh khác kế tục, do nút cấp trên của cả hai bên thực hiện.
err-unit-succeeded = { $unit } đã được định ngày kết thúc và do { $other } kế tục.
err-unit-unserved = Chưa có nút nào phục vụ { $unit }.

note-unit-moves-later = Từ { $from }, { $unit } trực thuộc { $other } như đã định trước.
note-unit-succeeded = Từ { $from }, { $heir } kế tục { $unit }: trả lời thay dưới tên cũ; các kỳ đã qua giữ nguyên.
