#!/usr/bin/env bash
# The browser tests drive Debian's chromium; where it cannot be installed they are skipped and say so.
command -v chromium >/dev/null && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null && exit 0
fi
echo "chromium is not installed and could not be: the browser tests will be skipped" >&2
