#!/bin/sh
#@header
set -eu
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C
export PATH LC_ALL

network=@network@
state=${PODNET_SCRIPT_STATE:-/var/lib/podnet-script}/$network
database=${PODNET_DATABASE:-@database@}
ifname=eth0

die() {
    echo "net-script.sh: $*" >&2
    exit 1
}

usage() {
    echo "usage: net-script.sh add CONTAINER NAMESPACE" >&2
    echo "       net-script.sh del CONTAINER [NAMESPACE]" >&2
    echo "NAMESPACE is a name under /run/netns, or a path such as /proc/PID/ns/net" >&2
    exit 2
}

need() {
    for program; do
        command -v "$program" >/dev/null || die "$program is not installed"
    done
}

in_pod() {
    nsenter --net="$netns" "$@"
}

# ---- never two keepers of addresses ------------------------------------------

# Where podnet's database is, it must be shown to have no live lease of this
# boot.  What cannot be shown (no program here reads it) counts as a lease.
live_leases() {
    boot=$(cat /proc/sys/kernel/random/boot_id)
    query="SELECT count(*) FROM lease JOIN boot ON boot.id = lease.boot
        WHERE lease.closed IS NULL AND boot.boot_id = '$boot'"
    if command -v sqlite3 >/dev/null; then
        sqlite3 -readonly "$database" "$query"
    else
        python3 -I -c 'import sqlite3, sys
database = sqlite3.connect("file:" + sys.argv[1] + "?mode=ro", uri=True)
print(*database.execute(sys.argv[2]).fetchone())' "$database" "$query"
    fi
}

refuse_beside_podnet() {
    [ -e "$database" ] || return 0
    [ "${PODNET_SCRIPT_FORCE:-}" != 1 ] || return 0
    count=$(live_leases 2>/dev/null) || count=unknown
    [ "$count" = 0 ] || die "podnet keeps this node's addresses in $database" \
        "(live leases: $count): use \`podnet add\`, or remove its pods and stop" \
        "it; PODNET_SCRIPT_FORCE=1 goes on regardless"
}

# ---- addresses: a file for each, created exclusively --------------------------

# Set `taken` to number $2: an IPv4 address when $1 is 4, else the last 32 bits
# of the IPv6 address that begins with $1.
spell() {
    if [ "$1" = 4 ]; then
        taken=$(($2 >> 24 & 255)).$(($2 >> 16 & 255)).$(($2 >> 8 & 255)).$(($2 & 255))
    else
        taken=$(printf '%s:%x:%x' "$1" "$(($2 >> 16 & 65535))" "$(($2 & 65535))")
    fi
}

# claim RANGE KIND FIRST LAST: take the lowest free number from FIRST to LAST.
claim() {
    number=$3
    while [ "$number" -le "$4" ]; do
        spell "$2" "$number"
        if [ ! -e "$state/addresses/$taken" ]; then
            if (set -C && echo "$container" >"$state/addresses/$taken") 2>/dev/null; then
                range=$1
                return 0
            fi
            [ -e "$state/addresses/$taken" ] || die "cannot write $state/addresses/$taken"
        fi
        number=$((number + 1))
    done
    return 1
}

# take SET SPAN...: set `taken` to a free address of the spans (each RANGE KIND
# FIRST LAST) and `range` to its range.  The search begins after the address
# given last, so that a released one rests as long as the spans allow.
take() {
    note=$state/last-$1
    shift
    resume=
    [ ! -e "$note" ] || read -r resume <"$note" || resume=
    for _ in behind_it from_the_start; do
        for span; do
            # shellcheck disable=SC2086 # a span is four words
            set_span $span
            if [ -n "$resume" ]; then
                [ "${resume% *}" = "$span" ] || continue
                begin=$((${resume##* } + 1))
                resume=
            fi
            if claim "$span_range" "$span_kind" "$begin" "$span_last"; then
                echo "$span $number" >"$note"
                return 0
            fi
        done
        resume=
    done
    return 1
}

set_span() {
    span_range=$1
    span_kind=$2
    begin=$3
    span_last=$4
}

# Give back every address of the container, also one whose note of it was lost.
release() {
    find "$state/addresses" -type f -exec grep -lxF -e "$container" {} + | while read -r file; do
        rm -f "$file"
    done
}

# Delete the connection tracking entries of address $2, so that whoever gets it
# next meets none of them.
forget_flows() {
    command -v conntrack >/dev/null || return 0
    for end in --orig-src --orig-dst --reply-src --reply-dst; do
        conntrack -D -f "$1" "$end" "$2" >/dev/null 2>&1 || :
    done
}

# ---- names ------------------------------------------------------------------

# All of them follow from the container and its address, as the engine derives
# them: whoever gets an address again meets no stale neighbour entry.

# One quarter of BLAKE2s' round: words v$1 v$2 v$3 v$4, message words m$5 m$6
# (RFC 7693, 3.1).  The shell's numbers have 64 bits, so each sum is cut to 32.
# shellcheck disable=SC2154 # eval assigns them all
mix() {
    eval "a=\$v$1 b=\$v$2 c=\$v$3 d=\$v$4 x=\$m$5 y=\$m$6"
    a=$((a + b + x & 0xffffffff)) d=$((d ^ a)) d=$(((d >> 16 | d << 16) & 0xffffffff))
    c=$((c + d & 0xffffffff)) b=$((b ^ c)) b=$(((b >> 12 | b << 20) & 0xffffffff))
    a=$((a + b + y & 0xffffffff)) d=$((d ^ a)) d=$(((d >> 8 | d << 24) & 0xffffffff))
    c=$((c + d & 0xffffffff)) b=$((b ^ c)) b=$(((b >> 7 | b << 25) & 0xffffffff))
    eval "v$1=$a v$2=$b v$3=$c v$4=$d"
}

round() {
    mix 0 4 8 12 "$1" "$2"
    mix 1 5 9 13 "$3" "$4"
    mix 2 6 10 14 "$5" "$6"
    mix 3 7 11 15 "$7" "$8"
    mix 0 5 10 15 "$9" "${10}"
    mix 1 6 11 12 "${11}" "${12}"
    mix 2 7 8 13 "${13}" "${14}"
    mix 3 4 9 14 "${15}" "${16}"
}

# Add the block in m0 to m15 to the state in h0 to h7; $1 counts the bytes so
# far, $2 is all ones for the last block (RFC 7693, 3.2).
# shellcheck disable=SC2034 # mix reads them by eval
compress() {
    v0=$h0 v1=$h1 v2=$h2 v3=$h3 v4=$h4 v5=$h5 v6=$h6 v7=$h7
    v8=$((0x6a09e667)) v9=$((0xbb67ae85)) v10=$((0x3c6ef372)) v11=$((0xa54ff53a))
    v12=$((0x510e527f ^ $1)) v13=$((0x9b05688c)) v14=$((0x1f83d9ab ^ $2)) v15=$((0x5be0cd19))
    round 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
    round 14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3
    round 11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4
    round 7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8
    round 9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13
    round 2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9
    round 12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11
    round 13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10
    round 6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5
    round 10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0
    for i in 0 1 2 3 4 5 6 7; do
        eval "h$i=\$((h$i ^ v$i ^ v$((i + 8))))"
    done
}

# blake2s LENGTH BYTE...: leave the hash of the bytes, at most 8 long, in h0 and
# h1, lowest byte first.
blake2s() {
    h0=$((0x6b08e667 ^ $1)) h1=$((0xbb67ae85)) h2=$((0x3c6ef372)) h3=$((0xa54ff53a))
    h4=$((0x510e527f)) h5=$((0x9b05688c)) h6=$((0x1f83d9ab)) h7=$((0x5be0cd19))
    shift
    length=$# counted=0
    while [ "$counted" -lt "$length" ]; do
        for i in 0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15; do
            eval "m$i=$((${1:-0} | ${2:-0} << 8 | ${3:-0} << 16 | ${4:-0} << 24))"
            shift $(($# < 4 ? $# : 4))
        done
        counted=$((length - $#))
        compress "$counted" $(($# ? 0 : 0xffffffff))
    done
}

# Set `link` to the host link's name: veth- and 7 base32 digits of the hash of
# network, container, interface and try $1, with zero bytes between@of_port@.
name_link() {
    # shellcheck disable=SC2046 # a word for each byte
    blake2s 5 $(printf '%s\0%s\0%s\0%s' "$network" "$container" "$ifname" "$1" | od -An -v -tu1)
    bits=$(((h0 & 255) << 32 | (h0 >> 8 & 255) << 24 | (h0 >> 16 & 255) << 16 | h0 >> 24 << 8 | h1 & 255))
    set -- a b c d e f g h i j k l m n o p q r s t u v w x y z 2 3 4 5 6 7
    name=veth-
    for place in 35 30 25 20 15 10 5; do
        eval "name=$name\${$(((bits >> place & 31) + 1))}"
    done
    link=$name@suffix@
}

# The pod's MAC address: 0a:58 and the bytes of IPv4 address $1, or the hash of
# IPv6 address $1, whose eight groups are all spelled out.
mac_of() {
    colons=$1
    old_ifs=$IFS
    IFS=.:
    # shellcheck disable=SC2086 # split at the dots or colons
    set -- $1
    IFS=$old_ifs
    case $colons in
    *:*)
        for group; do
            set -- "$@" $((0x$group >> 8)) $((0x$group & 255))
        done
        shift 8
        blake2s 4 "$@"
        set -- $((h0 & 255)) $((h0 >> 8 & 255)) $((h0 >> 16 & 255)) $((h0 >> 24))
        ;;
    esac
    printf '0a:58:%02x:%02x:%02x:%02x' "$@"
}

# The MAC address of bridge port $1; no packet carries it.
port_mac_of() {
    # shellcheck disable=SC2046 # a word for each byte
    blake2s 5 $(printf %s "$1" | od -An -v -tu1)
    printf '02:%02x:%02x:%02x:%02x:%02x' $((h0 & 255)) $((h0 >> 8 & 255)) $((h0 >> 16 & 255)) $((h0 >> 24)) $((h1 & 255))
}

# The link-local address of MAC address $1 (RFC 4291, appendix A).
link_local_of() {
    old_ifs=$IFS
    IFS=:
    # shellcheck disable=SC2086 # split at the colons
    set -- $1
    IFS=$old_ifs
    printf 'fe80::%x:%x:%x:%x' $(((0x$1 ^ 2) << 8 | 0x$2)) $((0x$3 << 8 | 0xff)) $((0xfe00 | 0x$4)) $((0x$5 << 8 | 0x$6))
}

# ---- what the engine would do, command by command ----------------------------

#@node
#@attach
# ---- verbs ------------------------------------------------------------------

parse() {
    case $1 in
    "" | [!a-zA-Z0-9]* | *[!a-zA-Z0-9_.-]*) die "container '$1': a letter or digit, then letters, digits, _ . -" ;;
    esac
    container=$1
    pod=$state/containers/$container
    case ${2:-} in
    */*) netns=$2 ;;
    *) netns=/run/netns/${2:-} ;;
    esac
}

refuse_twice() {
    [ -d "$pod" ] || die "cannot make $pod"
    die "$container has been added already: \`net-script.sh del $container\` first"
}

add() {
    [ ! -d "$pod" ] || refuse_twice
    [ -e "$netns" ] || die "namespace $netns does not exist: \`ip netns list\` shows those with names"
    theirs=$(in_pod readlink /proc/self/ns/net 2>/dev/null) || die "$netns is no network namespace"
    [ "$theirs" != "$(readlink /proc/self/ns/net)" ] || die "$netns is this node's own namespace"
    ! in_pod ip link show dev "$ifname" >/dev/null 2>&1 || die "$netns has a link $ifname already"
    refuse_beside_podnet
    mkdir -p "$state/addresses" "$state/containers"
    mkdir "$pod" 2>/dev/null || refuse_twice
    trap finish EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    choice=
#@take
    for try in 0 1 2 3 4 5 6 7 8 9; do
        name_link "$try"
        ip link show dev "$link" >/dev/null 2>&1 || break
        link=
    done
    [ -n "$link" ] || die "ten names for the link of $container are taken by other links"
    echo "$choice $link @words@" >"$pod/lease"
    (
        flock 9
        node
    ) 9>"$state/lock"
    "attach$choice"
    echo "$container: @words@"
}

# Undo whatever there is of the container; its record goes last.
remove() {
    if [ -e "$pod/lease" ] && read -r choice link @names@ <"$pod/lease"; then
        "detach$choice"
        ! ip link show dev "$link" >/dev/null 2>&1 || die "$link cannot be deleted: $container keeps its addresses"
    fi
    release
    rm -rf "$pod"
}

finish() {
    status=$?
    trap - EXIT
    [ "$status" = 0 ] || remove
    exit "$status"
}

del() {
    [ -d "$pod" ] || return 0
    remove
}

[ $# -ge 2 ] || usage
need @programs@
case $1:$# in
add:3)
    parse "$2" "$3"
    add
    ;;
del:2 | del:3)
    parse "$2" "${3:-}"
    del
    ;;
*) usage ;;
esac
