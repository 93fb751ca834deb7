#!/bin/sh
# Install what some tests need from the system, if it is missing and we may: Chromium (the gallery), Samba (the share),
# bindfs and sshfs (file systems that tell nothing), strace (kills at chosen moments).
# Nothing here is fatal: a test whose program is missing skips and says so, except under CI=true.
missing=""
command -v chromium >/dev/null 2>&1 || missing="$missing chromium"
command -v smbd >/dev/null 2>&1 && command -v smbclient >/dev/null 2>&1 || missing="$missing samba smbclient"
command -v bindfs >/dev/null 2>&1 || missing="$missing bindfs"
command -v sshfs >/dev/null 2>&1 || missing="$missing sshfs"
command -v strace >/dev/null 2>&1 || missing="$missing strace"
[ -x /usr/lib/openssh/sftp-server ] || missing="$missing openssh-sftp-server"
[ -n "$missing" ] || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "tests: not installed, their tests will be skipped:$missing"
  exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq >/dev/null && apt-get install -y -qq --no-install-recommends $missing >/dev/null ||
  echo "tests: could not install:$missing"
exit 0
