#!/bin/sh
# Runs a command as the worker's service does: its user, its folder, its settings, so that it
# reaches the same job database. As root on a host with technoshare-commentator.service:
#
#   install -m 755 deploy/systemd/as-commentator.sh /usr/local/bin/as-commentator
#   as-commentator commentator status
#   as-commentator mlflowctl reconcile --since 24h
#
# The command may read files that everybody may read and write those of the service. A test keeps
# what is said here equal to the unit.
set -eu

if [ $# -eq 0 ]; then
	echo "Usage: as-commentator COMMAND [argument …], for instance: as-commentator commentator status" >&2
	exit 2
fi
exec systemd-run --quiet --collect --wait --pipe \
	--property=DynamicUser=yes --property=User=technoshare-commentator --property=UMask=0077 \
	--property=StateDirectory=technoshare-commentator --property=StateDirectoryMode=0700 \
	--property=CacheDirectory=technoshare-commentator --property=CacheDirectoryMode=0700 \
	--property=WorkingDirectory=/var/lib/technoshare-commentator \
	--property=Environment=DB_PATH=/var/lib/technoshare-commentator/db.sqlite \
	--property=Environment=DATA_DIR=/usr/local/share/technoshare-commentator/data \
	--property=Environment=RETRIEVAL_PDF_CACHE=/var/cache/technoshare-commentator/pdf \
	--property=Environment=METRICS_ADDR=127.0.0.1:9465 \
	--property=EnvironmentFile=-/etc/technoshare-commentator/env \
	-- "$@"
