# Lịch báo cáo.

calendar-and-more = và { $n } đơn vị khác
calendar-nothing = Không đơn vị nào còn thiếu báo cáo sắp đến hạn hoặc đã quá hạn.
err-bad-stretch = Từ { $from } đến { $to } không phải là khoảng ngày xem được: ngày sau không được trước ngày đầu, và cách nhau nhiều nhất { $most } ngày.
label-days-left = Còn (ngày)
label-next-due = Hạn nộp tiếp theo
label-owing = Chưa báo cáo đủ
label-period-missing = Thiếu
label-regime = Chế độ báo cáo
label-reminders = Nhắc báo cáo
note-calendar-unknown = reporting.regimes nêu đơn vị không có ở đây: { $units }. Chế độ báo cáo không áp dụng cho các đơn vị đó.
word-answered-late = đủ, có báo cáo trễ
word-answered-missing = thiếu
word-answered-nothing-due = không phải nộp
word-answered-on-time = đủ, đúng hạn
word-answered-open = còn hạn
word-regime-half-yearly = 6 tháng
word-regime-monthly = tháng
word-regime-nine-months = 9 tháng
word-regime-quarterly = quý
word-regime-ward-monthly = tháng (phường)
word-regime-weekly = tuần
word-regime-yearly = năm
word-regime-yearly-december = năm (trước 10/12)
