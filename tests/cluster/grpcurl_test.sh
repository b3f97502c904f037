#!/usr/bin/env bash
# Calls as people make them with grpcurl: list, describe, SetValue and GetValue through leader and followers, error
# codes. Skipped (77) where grpcurl is not installed. Usage: grpcurl_test.sh BUILD_FOLDER
set -euo pipefail

PATH=$PATH:${GOPATH:-$HOME/go}/bin
command -v grpcurl >/dev/null || { echo "skipped: no grpcurl here"; exit 77; }
bin=$(realpath "$1")
dir=$(mktemp -d)
port=43000
cd "$(dirname "$0")/../.."
cluster() { scripts/cluster "$1" "${@:2}" --dir "$dir" --port "$port" --bin "$bin" --insecure; }
trap 'cluster stop; rm -rf "$dir"' EXIT
cluster start

passed=0 failed=0
# check NAME PATTERN COMMAND...: the command's output and exit code, as "OUTPUT [CODE]", match the pattern
check() {
  local name=$1 pattern=$2 output code=0
  shift 2
  output=$("$@" 2>&1) || code=$?
  if [[ "$output [$code]" =~ $pattern ]]; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1))
    printf 'FAILED %s: wanted %s, got %s\n' "$name" "$pattern" "$output [$code]"
  fi
}
call() { grpcurl -plaintext -d "$2" "127.0.0.1:$1" "iris.pb.$3"; }

listed=$(grpcurl -plaintext 127.0.0.1:$port list)
for service in iris.pb.Iris iris.pb.Cluster grpc.health.v1.Health grpc.reflection.v1alpha.ServerReflection; do
  check "list shows $service" "(^|[[:space:]])${service//./\\.}([[:space:]]|$)" echo "$listed"
done
check "describe" "rpc SetValue" grpcurl -plaintext 127.0.0.1:$port describe iris.pb.Iris
check "health" "SERVING.*\[0\]" grpcurl -plaintext 127.0.0.1:$port grpc.health.v1.Health/Check
check "a session" '"session": "[0-9A-F]{20}"' call $port '{}' Iris/Connect
for k in 0 1 2; do
  p=$((port + 10 * k))
  check "set at $p" '"value": "Ymx1ZQ=="' call $p "{\"source\":\"colors\",\"key\":\"k$k\",\"value\":\"Ymx1ZQ==\"}" Iris/SetValue
  check "get at $p" '"value": "Ymx1ZQ=="' call $((port + 10 * ((k + 1) % 3))) "{\"source\":\"colors\",\"key\":\"k$k\"}" Iris/GetValue
  check "keys at $p" '"key": "k0"' call $p '{"source":"colors"}' Iris/GetKeys
  check "join of a member at $p" '\{.*\}.*\[0\]' call $p "{\"address\":\"127.0.0.1:$((port + 11))\"}" Iris/Join
done
check "a missing value is OK and empty" '\[0\]' call $port '{"source":"colors","key":"none"}' Iris/GetValue
# grpcurl exits with 64 + the status code.
check "an empty source is INVALID_ARGUMENT" 'source.*\[67\]' call $port '{"key":"k"}' Iris/SetValue
check "if_revision is ABORTED" '\[74\]' call $port '{"source":"colors","key":"k0","value":"","if_revision":0}' Iris/SetValue

echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
