# Chấm điểm, xếp loại đơn vị.

console-menu-scores = Xếp loại
console-scores-by = Theo { $criteria }. Điểm không có căn cứ (không có việc đến hạn, chưa có minh chứng được xem) không tính là 0: trọng số của tiêu chí đó được bỏ khỏi tổng điểm có thể đạt.
console-scores-intro = Điểm và thứ hạng của các đơn vị trong kỳ { $period }, kèm số liệu của từng điểm.
console-scores-none = Chưa có đơn vị nào để chấm điểm.
err-bad-criteria = Không dùng được bộ tiêu chí: { $detail }. Hãy sửa tệp rồi thử lại.
label-criterion = Tiêu chí
label-grade = Xếp loại
label-of-most = Tối đa
label-points = Điểm
label-rank = Hạng
label-score-lines = Căn cứ từng điểm
note-score-without-basis = { $count } đơn vị không có căn cứ để chấm điểm nên không xếp hạng.
score-no-basis = không có căn cứ
book-scores-sheet = Xếp loại
book-scores-title = BẢNG CHẤM ĐIỂM, XẾP LOẠI ĐƠN VỊ
