#!/usr/bin/env bash
# Runs Redis, three nodes and nginx on this machine in the foreground, until Ctrl-C.
#
# The site is deploy/nginx.conf as it is, but for the addresses and the log files. A part that dies is
# started again within a second, as systemd would: a stalled node ends itself and relies on that.
# No root, no daemon; what it writes is in a temporary folder that goes at the end.
#
#   CLUSTER_PORT=8080                      where nginx listens, on 127.0.0.1 as everything here
#   CLUSTER_NODE_PORTS="8001 8002 8003"    the three nodes
#   CLUSTER_REDIS_PORT=6399                not 6379, which another Redis may use
#   REDIS=cluster                          a Redis Cluster instead of one Redis: three masters at this port
#                                          and the next two, a replica of each after them, and six ports
#                                          more on which they speak with one another
#   PARLOR_BIN=target/release/parlor       the node; settings as PARLOR_LOG_LEVEL reach all three
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
binary=${PARLOR_BIN:-$here/../target/release/parlor}
site_port=${CLUSTER_PORT:-8080}
redis_port=${CLUSTER_REDIS_PORT:-6399}
read -ra node_ports <<<"${CLUSTER_NODE_PORTS:-8001 8002 8003}"
PATH=$PATH:/usr/sbin # Debian's nginx, which is not on every user's path

say() { printf 'cluster | %s\n' "$*"; }
die() {
    say "$*" >&2
    exit 1
}

declare -A name_of # process id -> redis, node-8001, …, nginx
declare -A port_of=([nginx]=$site_port)
declare -A due=() # part that died -> the second of this script at which it is started again
nodes=() servers=() places=()
case ${REDIS:-} in
    '')
        servers=(redis) port_of[redis]=$redis_port
        redis_url=redis://127.0.0.1:$redis_port
        ;;
    cluster)
        for ((port = redis_port; port < redis_port + 6; port++)); do
            servers+=("redis-$port") places+=("127.0.0.1:$port")
            port_of[redis-$port]=$port
        done
        redis_url=redis+cluster://$(IFS=, && echo "${places[*]}")
        ;;
    *) die "REDIS is '$REDIS': expected 'cluster', or nothing for one Redis" ;;
esac
for port in "${node_ports[@]}"; do
    nodes+=("node-$port")
    port_of[node-$port]=$port
done

# --- before the start: each known cause of failure is one line ---

[[ ${#nodes[@]} == 3 ]] || die "CLUSTER_NODE_PORTS must name three ports, not '${node_ports[*]}'"
[[ -x $binary ]] || die "no node at $binary: \`make cluster\` builds it, PARLOR_BIN names another one"
for tool in redis-server redis-cli nginx setsid setpriv; do
    command -v "$tool" >/dev/null || die "$tool is missing: install it (Debian: redis-server, nginx, util-linux)"
done

answers() { (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
for part in "${!port_of[@]}"; do
    ! answers "${port_of[$part]}" ||
        die "port ${port_of[$part]} for $part is in use: choose others by CLUSTER_PORT, CLUSTER_NODE_PORTS, CLUSTER_REDIS_PORT"
done

# --- parts ---

# Runs a command as PART. Its own session, so that Ctrl-C reaches this script only, which then stops
# the parts in order. The death signal, so that nothing survives this script, not even its kill -9.
run() {
    local part=$1
    shift
    setsid setpriv --pdeathsig TERM -- "$@" > >(exec setsid sed -u "s/^/$part | /") 2>&1 &
    name_of[$!]=$part
}

# Runs a Redis as PART, with these settings.
redis() {
    mkdir -p "$folder/$part"
    run "$part" redis-server --bind 127.0.0.1 --port "$port" --dir "$folder/$part" --save '' \
        --logfile redis.log "$@"
}

start() {
    local part=$1 port=${port_of[$1]}
    case $part in
        redis) redis ;;
        # Of a shard without a server that runs, its own rooms stand still, and no others.
        redis-*) redis --cluster-enabled yes --cluster-port $((port + 6)) --cluster-node-timeout 2000 \
            --cluster-require-full-coverage no ;;
        nginx) run nginx "${nginx[@]}" ;;
        node-*) run "$part" "$binary" --listen "127.0.0.1:$port" --redis-url "$redis_url" \
            --trusted-proxies 127.0.0.1 ;;
    esac
    say "$part is process $!, port $port"
}

# Waits until the part that was started last takes connections.
await() {
    local part=$1 pid=$!
    for _ in {1..100}; do
        if ! kill -0 "$pid" 2>/dev/null; then
            [[ $part != redis* ]] || tail -n 5 "$folder/$part/redis.log" >&2
            die "$part ended before it was ready"
        fi
        if answers "${port_of[$part]}"; then return; fi
        sleep 0.1
    done
    die "$part was not ready after 10 s"
}

# Waits until all servers of the Redis Cluster agree, and each replica has its master's data.
await_cluster() {
    local port ready
    for _ in {1..100}; do
        ready=0
        for port in "${places[@]#*:}"; do
            if [[ $(redis-cli -p "$port" cluster info) == *cluster_state:ok* ]] &&
                [[ $(redis-cli -p "$port" info replication) == *@(role:master*state=online|master_link_status:up)* ]]; then
                ready=$((ready + 1))
            fi
        done
        if ((ready == ${#places[@]})); then return; fi
        sleep 0.1
    done
    die "the Redis Cluster was not ready after 10 s"
}

# Ends the parts whose names match by SIGNAL, and by force after SECONDS.
end() {
    local pattern=$1 signal=$2 seconds=$3 pid
    local -a left=()
    for pid in "${!name_of[@]}"; do
        # shellcheck disable=SC2053 # a pattern is meant
        if [[ ${name_of[$pid]} == $pattern ]]; then left+=("$pid"); fi
    done
    kill "-$signal" "${left[@]}" 2>/dev/null || true
    kill -CONT "${left[@]}" 2>/dev/null || true # it may be stopped by an experiment with SIGSTOP
    for ((i = 0; i < seconds * 10; i++)); do
        kill -0 "${left[@]}" 2>/dev/null || break
        sleep 0.1
    done
    for pid in "${left[@]}"; do
        ! kill -KILL -- "-$pid" 2>/dev/null || say "${name_of[$pid]} had to be killed"
    done
}

# Nodes first, while nginx still carries their close frames to the browsers; Redis last.
stop() {
    trap '' INT TERM HUP
    if ((${#name_of[@]})); then
        say "stopping"
        end 'node-*' INT 12 # without the drain that SIGTERM begins
        end nginx TERM 3
        end 'redis*' TERM 3
    fi
    rm -rf "$folder"
}

# A socket takes two descriptors in nginx and one in a node.
ulimit -S -n "$(ulimit -H -n)"

folder=$(mktemp -d "${TMPDIR:-/tmp}/parlor-cluster.XXXXXX")
trap stop EXIT
trap 'exit 0' INT TERM HUP

# --- nginx: the operator's site in a main file of ours ---

mkdir "$folder/snippets"
cp "$here/proxy.conf" "$folder/snippets/parlor-proxy.conf"
# `t` ends the work on a line once it was changed, so that 8001 -> 8002 is not changed again.
sed -e "s|listen 80;|listen 127.0.0.1:$site_port;|" -e '/listen \[::\]:80;/d' \
    -e "s|/var/log/nginx/|$folder/|" \
    -e "s|127.0.0.1:8001 max_fails|127.0.0.1:${node_ports[0]} max_fails|;t" \
    -e "s|127.0.0.1:8002 max_fails|127.0.0.1:${node_ports[1]} max_fails|;t" \
    -e "s|127.0.0.1:8003 max_fails|127.0.0.1:${node_ports[2]} max_fails|" \
    "$here/nginx.conf" >"$folder/site.conf"
cat >"$folder/nginx.conf" <<END
daemon off;
pid $folder/nginx.pid;
worker_processes 2;
$([[ $EUID != 0 ]] || echo 'user root; # the temporary folder is private')
events { worker_connections 8192; }
http {
    client_body_temp_path $folder/body;
    proxy_temp_path $folder/proxy;
    fastcgi_temp_path $folder/fastcgi;
    uwsgi_temp_path $folder/uwsgi;
    scgi_temp_path $folder/scgi;
    include $folder/site.conf;
}
END
nginx=(nginx -e stderr -p "$folder" -c "$folder/nginx.conf")

# --- start, then watch ---

for part in "${servers[@]}"; do
    start "$part"
    await "$part"
done
if [[ ${REDIS:-} == cluster ]]; then
    redis-cli --cluster create "${places[@]}" --cluster-replicas 1 --cluster-yes >"$folder/create.log" ||
        die "no Redis Cluster: $(tail -n 5 "$folder/create.log")"
    await_cluster
fi
for part in "${nodes[@]}" nginx; do
    start "$part"
    await "$part"
done
say "open http://127.0.0.1:$site_port/chat/ in two windows; nginx' log is $folder/parlor.access.log"
say "kill -9 a node's process: its pages go on at another one. Ctrl-C stops all."

# Asked once a second, because `wait -n` forgets a part that ends while another one is started. Without
# stderr, where bash would report every killed process.
while sleep 1; do
    for pid in "${!name_of[@]}"; do
        if kill -0 "$pid"; then continue; fi
        part=${name_of[$pid]} code=0
        wait "$pid" || code=$?
        unset "name_of[$pid]"
        kill -KILL -- "-$pid" || true # workers that a killed nginx left behind
        # A master that is back before its replica has its place takes the data from the replica.
        pause=0
        [[ $part != redis-* ]] || pause=6
        due[$part]=$((SECONDS + pause))
        say "$part (process $pid) ended with $code and is started again after $pause s"
    done
    for part in "${!due[@]}"; do
        if ((SECONDS < due[$part])); then continue; fi
        unset "due[$part]"
        start "$part"
    done
done 2>/dev/null
