#!/bin/sh
# Refuse the sample passwords of compose.yaml where others can reach NATS; say loudly that they are in use elsewhere.
samples=$(env | sed -n 's/^\([A-Z]*_\(PASSWORD\|TOKEN\)\)=change-.*/\1/p' | sort | tr '\n' ' ')
[ -n "$samples" ] || exit 0
case "$VEDETTE_BIND" in
  127.* | ::1 | '[::1]' | localhost)
    echo "WARNING: sample passwords are in use, for this machine only. Set before others can reach it: $samples" >&2
    ;;
  *)
    echo "REFUSED: NATS would listen on $VEDETTE_BIND with passwords that are public. Set: $samples" >&2
    exit 1
    ;;
esac
