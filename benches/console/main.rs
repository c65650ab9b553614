//! `cargo bench --bench console`: how long the console's pages take at the server of a whole province, beside what SQLite
//! alone takes for the same rows in the same run; and what an import of reports costs a row.
//!
//! 170 communes carry out 200 shared tasks and reported for twelve months: the store is made by the write path of the
//! program, not by a script. The pages are asked for by HTTP, as a browser does. Only ratios of one run mean anything on a
//! machine that is shared. `-- --workbook 50000` measures the download of a workbook of so many tasks instead.

mod import;
mod pages;
mod province;
mod workbook;

use province::{Province, Size};

fn main() {
    let size = Size::read().unwrap_or_else(|problem| {
        eprintln!("{problem}");
        std::process::exit(2)
    });
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let mut out = String::new();
    runtime.block_on(async {
        if size.workbook > 0 {
            return workbook::measure(size.workbook, &mut out).await;
        }
        let province = Province::make(size, &mut out).await;
        pages::measure(&province, &mut out).await;
        import::measure(&province, &mut out).await;
    });
    println!("{out}");
}
