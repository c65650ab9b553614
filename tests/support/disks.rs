//! Disks made for a test: small ones in memory, and images of a file system that can lose their power. Both need root.
//! What is missing fails a test in CI and leaves it out elsewhere.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::strace::missing;

/// A mounted file system; it is unmounted at the end.
pub struct Disk {
    at: PathBuf,
    /// The file that holds it, if it is not in memory.
    image: Option<PathBuf>,
}

fn done(command: &mut Command) -> bool {
    command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

impl Disk {
    /// A file system in memory, such as `size=1m,nr_inodes=20`.
    pub fn small(at: &Path, options: &str) -> Option<Disk> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(at);
        if !done(&mut mount) {
            missing("only root can mount a small file system");
            return None;
        }
        Some(Disk {
            at: at.to_owned(),
            image: None,
        })
    }

    /// An ext4 of 48 MiB in a file beside `at`.
    pub fn image(at: &Path) -> Option<Disk> {
        let image = at.with_added_extension("image");
        let file = std::fs::File::create(&image).expect("room");
        file.set_len(48 << 20).expect("room");
        let disk = Disk {
            at: at.to_owned(),
            image: Some(image.clone()),
        };
        let made = done(Command::new("mkfs.ext4").arg("-q").arg(&image));
        if !made || !disk.mount() {
            missing("loop devices, mkfs.ext4 or the right to mount are missing here");
            return None;
        }
        Some(disk)
    }

    fn mount(&self) -> bool {
        let image = self.image.as_ref().expect("an image");
        done(
            Command::new("mount")
                .args(["-o", "loop"])
                .arg(image)
                .arg(&self.at),
        )
    }

    /// The same file system with other options.
    pub fn remount(&self, options: &str) {
        let options = format!("remount,{options}");
        assert!(
            done(Command::new("mount").args(["-o", &options]).arg(&self.at)),
            "mount -o {options}"
        );
    }

    /// From this moment nothing reaches the disk any more, and what was not written down is lost.
    pub fn cut_power(&self) {
        let call =
            "$how = pack('L', 2); open(F, '<', $ARGV[0]) or die; ioctl(F, 0x8004587D, $how) // die";
        let cut = done(Command::new("perl").args(["-e", call]).arg(&self.at));
        assert!(cut, "the file system can be shut down");
    }

    /// After the power came back; whoever had files open must be gone.
    pub fn back(&self) {
        assert!(done(Command::new("umount").arg(&self.at)), "still in use");
        assert!(self.mount(), "it can be mounted again");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: a failing test may still hold files open.
        done(Command::new("umount").arg("-l").arg(&self.at));
        if let Some(image) = &self.image {
            // Only the room would be lost.
            let _ = std::fs::remove_file(image);
        }
    }
}
