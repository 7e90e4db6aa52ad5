# The job of git-sync done with the git command line: fetch, work tree, symlink swap.
# It stands in for git-sync where that is not installed, and is kinder than git-sync to
# the peer's side: no connectivity check, no gc, fewer git commands per poll.
# usage: peer.sh URL ROOT LINK PERIOD POLLS    (PERIOD 0: no pause; POLLS 0: for ever)
set -eu
url=$1 root=$2 link=$3 period=$4 polls=$5
mkdir -p "$root"
cd "$root"
[ -d .git ] || git init -q .
n=0
while :; do
	git fetch -q --no-auto-gc --no-tags --depth 1 "$url" refs/heads/main
	read -r hash _ <.git/FETCH_HEAD
	old=$(readlink "$link" || true)
	if [ "$old" != ".worktrees/$hash" ]; then
		# A reference, or the next fetch has nothing to offer and downloads everything again.
		git update-ref refs/heads/published "$hash"
		git worktree add -q --force --detach ".worktrees/$hash" "$hash"
		ln -s ".worktrees/$hash" tmp-link
		mv -T tmp-link "$link"
		[ -z "$old" ] || git worktree remove --force "$old"
	fi
	n=$((n + 1))
	[ "$n" -ne "$polls" ] || exit 0
	[ "$period" = 0 ] || sleep "$period"
done
