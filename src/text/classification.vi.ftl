# Độ mật: kho được giữ gì, các kho trên mức thường, hạ độ mật.

err-above-ceiling = Không nhận: { $level } là bí mật nhà nước, mà máy này có nối mạng. Theo Luật 117/2025/QH15 không được soạn thảo, lưu giữ bí mật nhà nước trên máy có nối mạng. Không phần nào được lưu lại; hãy dùng cách xử lý văn bản mật của cơ quan.
err-above-node-ceiling = Không nhận: { $level } cao hơn { $ceiling }, độ mật cao nhất máy này được giữ (node.ceiling). Không phần nào được lưu lại.
err-level-by-itself = Không mở: đây là kho mức { $level }, và cấu hình của chính kho không quyết định được máy này có được lưu giữ hay không. Hãy chỉ ra cấu hình của nút giữ kho, kèm --classification { $word }. Theo Luật 117/2025/QH15 không được soạn thảo, lưu giữ bí mật nhà nước trên máy có nối mạng.
err-other-level = Không nhận: đây là kho mức { $own }, còn { $level } có kho riêng. Không phần nào được lưu lại; hãy thêm --classification { $word } vào lệnh.
err-unknown-classification = "{ $text }" không phải độ mật đã biết (không, Mật, Tối mật, Tuyệt mật). Không lưu gì, vì có thể là độ mật.
err-not-lower = { $level } không thấp hơn { $own } là mức của kho này. Ở đây chỉ hạ độ mật; việc cần nâng thì nhập mới ở kho mức cao hơn và rút lại ở đây.
err-no-store-of-its-own = Nội dung không mật nằm trong kho chính của nút; không có gì cần tạo.
err-no-units-below = Kho của nút này chưa biết đơn vị của mình. Hãy đăng ký nút trước rồi thử lại.
err-no-level-store = Nút này chưa có kho mức { $level }. Tạo bằng: nqsync classification prepare { $word }
err-units-unreadable = Không nhận được đơn vị từ kho bên dưới: { $detail }
err-other-level-store = { $detail }
err-restore-other-level = Bản sao lưu là của kho mức { $found }, thư mục này dành cho mức { $here }. Không khôi phục gì.
err-adapter-ceiling-of-node = Bộ nối { $name } có trần { $ceiling }, cao hơn mức nút này được giữ (node.ceiling). Chỉ nút cô lập mới có trần trên mức thường: theo Luật 117/2025/QH15 không được lưu giữ bí mật nhà nước trên máy có nối mạng.
err-other-service = Đây là dịch vụ của kho mức { $own }, còn lệnh dành cho { $meant }: node.socket trỏ nhầm chỗ (NQSYNC_NODE_SOCKET, --set). Không phần nào được lưu lại.
err-enrol-by-file = Kho mức { $level } chỉ tham gia bằng tệp (--request, --answer): đường truyền không chuyển nội dung có độ mật.
err-adapter-above-store = Bộ nối { $name } có trần { $ceiling }, còn đây là kho mức { $level }: không nội dung nào của hệ thống đó được đưa vào kho này. Hãy nối nó với kho mức { $ceiling }.
err-adapter-below-store = Bộ nối { $name } có trần { $ceiling }, còn đây là kho mức { $level }: không nội dung nào được sang hệ thống đó.
err-level-not-agreed = Không đưa vào: mục [approval] của nút này yêu cầu người thứ hai đồng ý trước khi máy này lưu giữ { $level }. Hãy đề nghị trước: nqsync classification prepare { $word } --reason LÝ-DO --login NGƯỜI-DÙNG
err-ceiling-not-in-force = Chưa quyết định gì: dịch vụ của nút đang chạy theo cấu hình cũ. Hãy khởi động lại dịch vụ rồi đề nghị lại.
note-level-prepared = Kho mức { $level } đã sẵn sàng. Các lệnh dùng kho này với --classification { $word }; dịch vụ của nó là "nqsync run --classification { $word }". Không gì đi qua đường truyền; hãy chuyển bằng "nqsync bundle".
word-remark-classified = Dòng ghi độ mật mà kho này không giữ nên không nhận ({ $found }). Không được lưu giữ bí mật nhà nước trên máy có nối mạng (Luật 117/2025/QH15).
word-register-lowered = hạ độ mật
label-classification = Độ mật
