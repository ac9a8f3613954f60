#!/usr/bin/env bash
# Checks the rules of the house that no compiler knows; prints each offending line and ends with 1.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export LC_ALL=C.UTF-8

failed=0
rule() {
    [[ -n $found ]] || return 0
    printf 'house: %s\n' "$1" >&2
    while IFS= read -r line; do printf '    %s\n' "$line" >&2; done <<<"$found"
    failed=1
}

# grep whose 1 (nothing found) is fine; its 2 (no such folder, a bad pattern) ends this script.
lines() { grep "$@" || [[ $? == 1 ]]; }

rust=$(find src handlers tests benches fuzz/fuzz_targets -name '*.rs' | sort)

# --- who may know what ---

# Their names as paths (`hyper::`, `use redis as`), not in prose and not as a part (`layer::redis`).
crates='hyper(_util|_tungstenite)?|(deadpool_)?redis|(tokio_)?tungstenite|http_body_util'
found=$(lines -rnP --include='*.rs' "(?<![\w:])(::)?($crates)(::|\s*;|\s+as\s)" handlers)
rule 'handlers/ never names hyper, redis or tungstenite: ask the runtime for what is missing'

# The rest of a file after `#[cfg(test)]` may quote what a real peer sends, as `chat_message`.
# `push` alone is Rust's and Redis' word; with these neighbours it is the application's.
words='(?i:chat|lobby)|(?<![A-Za-z])[Rr]ooms?(?![a-z])|(?<=[a-z])Rooms?(?![a-z])|(?<![A-Z])ROOMS?(?![A-Z])'
words+='|\bpush_(event|line|message|page|route|start|stop|stream)|(?i:\bpush (button|page|route|socket|stream)s?\b)|["/]push\b'
words+='|消息|推送|房间|聊天'
found=$(find src -type f | sort | while IFS= read -r file; do
    sed '/^#\[cfg(test)\]/,$d' "$file" | lines -nP "$words" | sed "s|^|$file:|"
done)
rule 'src/ knows no chat word: it is the runtime of any application'

# --- how files look ---

found=$(while IFS= read -r file; do
    # A sentence: not empty, not a heading, begun as one (a letter of any case may stand in backticks).
    head -n 1 "$file" | grep -qP '^//! [\p{Lu}`]' || printf '%s:1: %s\n' "$file" "$(head -n 1 "$file")"
done <<<"$rust")
rule 'each Rust file begins with a sentence after //! that says what it is'

found=$(find src handlers tests benches static templates | lines -P '(^|/)(utils?|core|manager|service|types)(\.[a-z]+)?$')
rule 'no file or folder is called utils, core, manager, service or types: name it by its noun'

found=$(while IFS= read -r file; do
    count=$(wc -l <"$file")
    ((count <= 600)) || printf '%s: %s lines\n' "$file" "$count"
done <<<"$rust")
rule 'a Rust file has 600 lines at most: which second noun is in it?'

# The brackets keep this line from being found.
found=$(lines -rnIw --exclude-dir=.git --exclude-dir=target --exclude-dir=corpus '[T]ODO\|[F]IXME' .)
rule 'nothing is left for later in a comment: do it, or file an issue'

# An attribute may run over several lines, up to `)]`.
found=$(while IFS= read -r file; do
    awk '/#!?\[(allow|expect)\(/ { at = FNR; text = "" }
         at { text = text $0 }
         at && /\)\]/ { if (text !~ /reason *= *"/) print FILENAME ":" at ": " text; at = 0 }' "$file"
done <<<"$rust")
rule 'a lint is silenced with its reason: #[expect(…, reason = "…")]'

exit "$failed"
