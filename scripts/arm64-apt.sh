# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Debian packages for arm64 on a host of any architecture, without touching the host's package system: apt with a
# directory of its own, the host's mirror, and the host's release. To be sourced; needs no root.
#
#   arm64_apt DIR apt-get|apt-cache ...   that command, for arm64; DIR keeps the lists
#   arm64_extract DIR INTO PACKAGE...     download the packages (not what they depend on) and unpack them
#   ARM64_RELEASE=NAME                    another release of Debian than the host's, from the same mirror
#   arm64_cache_dir                       prints where such things are kept between runs

# The host's Debian sources, as lines of a sources.list.
arm64_sources() {
	local codename sites
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	# shellcheck disable=SC2016 # the names in the format are apt's
	sites=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null |
		awk -v c="$codename" '$2 == c || $2 == c "-updates" || $2 == c "-security"' | grep ' main$' | sort -u)
	if [ -z "$sites" ]; then
		echo "arm64-apt: apt knows no Debian mirror for release '${codename:-unknown}'" >&2
		return 1
	fi
	if [ -n "${ARM64_RELEASE:-}" ]; then
		sites=$(awk -v c="$codename" -v r="$ARM64_RELEASE" '$2 == c { print $1, r, $3 }' <<<"$sites")
	fi
	while read -r site; do
		echo "deb [arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $site"
	done <<<"$sites"
}

arm64_apt() {
	local dir
	mkdir -p "$1" && dir=$(cd "$1" && pwd) && shift || return
	if [ ! -e "$dir/updated" ]; then
		mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
		: >"$dir/status"
		arm64_sources >"$dir/sources.list" || return
		cat >"$dir/apt.conf" <<-END
			#clear APT::Architectures;
			APT::Architecture "arm64";
			APT::Architectures { "arm64"; };
			APT::Sandbox::User "root";
			APT::Install-Recommends "false";
			Acquire::Languages "none";
			Acquire::Retries "3";
			Dir::Etc::sourcelist "$dir/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::State "$dir";
			Dir::State::status "$dir/status";
			Dir::State::lists "$dir/lists";
			Dir::Cache "$dir/cache";
		END
		APT_CONFIG=$dir/apt.conf apt-get -qq update || return
		touch "$dir/updated"
	fi
	APT_CONFIG=$dir/apt.conf "$@"
}

arm64_extract() {
	local dir=$1 into=$2 deb
	shift 2
	mkdir -p "$into" "$dir" || return
	rm -rf "$dir/debs"
	mkdir "$dir/debs" || return
	(cd "$dir/debs" && arm64_apt .. apt-get -qq download "$@") || return
	for deb in "$dir"/debs/*.deb; do
		dpkg-deb -x "$deb" "$into" || return
	done
	rm -rf "$dir/debs"
}

arm64_cache_dir() {
	(. /etc/os-release && echo "${XDG_CACHE_HOME:-$HOME/.cache}/pawl/${VERSION_CODENAME:-unknown}")
}
