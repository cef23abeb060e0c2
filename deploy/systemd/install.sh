#!/usr/bin/env bash
# Puts subtitle-eraser onto this machine as a systemd service, or takes it away again.
#
#   install.sh [--root DIR] [--name NAME] [--prefix DIR] [--python PYTHON] [--gpu | --cpu] [--notify] [--no-start]
#   install.sh --uninstall [--purge] [--name NAME] [--prefix DIR]
#
#   --root DIR       below it lie inbox, work, done, failed and originals
#                    (default: as it was installed before, else /srv/NAME)
#   --name NAME      of the service; another name makes a second one, with a root of its own,
#                    so that two inboxes know nothing of each other          (default: subtitle-eraser)
#   --prefix DIR     where the program goes; all services share it
#                    (default: as it was installed before, else /opt/subtitle-eraser)
#   --python PYTHON  a Python from 3.11 to 3.13                              (default: python3)
#   --gpu, --cpu     with or without torch and the card's devices            (default: is there a card?)
#   --notify         with the service that tells of films; an upgrade keeps it
#   --no-start       leave the service stopped and not enabled
#   --uninstall      remove service and program; configuration, state and films stay
#   --purge          with --uninstall: configuration, state and user go as well; films stay always
#
# Safe to run twice: an upgrade is the same command from a newer checkout. The configuration is never
# overwritten, and the release before stays in PREFIX/releases, as does each that a service still
# runs. Without a network pip finds its wheels where PIP_FIND_LINKS says, with PIP_NO_INDEX=1.
set -euo pipefail
umask 022

say() { printf '%s\n' "$*"; }
fail() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }

source_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
name=subtitle-eraser root='' prefix='' python=python3 card='' start=yes verb=install purge=no notify=''
readonly user=subtitle-eraser

while [[ $# -gt 0 ]]; do
  case $1 in
    --root | --name | --prefix | --python)
      [[ $# -ge 2 ]] || fail "$1 wants a value; install.sh --help shows how."
      printf -v "${1#--}" '%s' "$2"
      shift
      ;;
    --gpu) card=yes ;;
    --cpu) card=no ;;
    --notify) notify=yes ;;
    --no-start) start=no ;;
    --uninstall) verb=uninstall ;;
    --purge) purge=yes ;;
    -h | --help) sed -n '2,/^set -/{/^set -/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"; exit 0 ;;
    *) fail "there is no option $1; install.sh --help shows all." ;;
  esac
  shift
done

[[ $(id -u) -eq 0 ]] || fail "must be run by root: sudo $0"
[[ $name =~ ^[a-z][a-z0-9-]*$ ]] || fail "--name $name: small letters, digits and '-' only."

readonly unit=/etc/systemd/system/$name.service
readonly models_unit=/etc/systemd/system/$name-models.service
readonly notify_unit=/etc/systemd/system/$name-notify.service
readonly config=/etc/$name/config.yaml
readonly tmpfiles=/etc/tmpfiles.d/$name.conf
readonly notify_tmpfiles=/etc/tmpfiles.d/$name-notify.conf
# An installation that is there says where it is.
if [[ -z $root && -f $tmpfiles ]]; then
  root=$(awk '$1 == "d" { print $2; exit }' "$tmpfiles")
fi
if [[ -z $prefix && -f $unit ]]; then
  prefix=$(sed -n 's#^ExecStart=\(.*\)/current/bin/subtitle-eraser run .*#\1#p' "$unit")
fi
[[ -f $notify_unit ]] && notify=yes
root=${root:-/srv/$name}
prefix=${prefix:-/opt/subtitle-eraser}
for path in "$root" "$prefix"; do
  [[ $path =~ ^/[A-Za-z0-9._/-]+$ ]] || fail "$path: an absolute path of letters, digits and . _ - only."
done
[[ $purge = no || $verb = uninstall ]] || fail "--purge goes with --uninstall."

systemd_runs() { [[ -d /run/systemd/system ]]; }

# The unit and its companions say subtitle-eraser where this service may say something else.
fitted() {
  sed -e "s#/opt/subtitle-eraser#$prefix#g" -e "s#/srv/subtitle-eraser#$root#g" \
    -e "s#/etc/subtitle-eraser/#/etc/$name/#g" -e "s#^After=\(.*\) subtitle-eraser.service#After=\1 $name.service#" \
    -e "s#/var/\(lib\|cache\)/subtitle-eraser#/var/\1/$name#g" \
    -e "s#^\(State\|Cache\|Runtime\)Directory=subtitle-eraser#\1Directory=$name#" "$1"
}

# Written beside and renamed: a unit is never read half.
put() {
  local target=$1 mode=${2:-0644}
  mkdir -p "$(dirname "$target")"
  cat >"$target.new"
  chmod "$mode" "$target.new"
  mv -f "$target.new" "$target"
}

check_python() {
  local found
  found=$(command -v "$python") || fail "there is no $python; choose another Python with --python."
  found=$("$found" -c 'import os, sys; print(os.path.realpath(sys.executable))')
  # The service sees nothing below these (ProtectHome), so neither a Python that lies there.
  [[ ! $found =~ ^/(root|home|run/user)/ ]] || fail "$found is out of the service's sight; choose another with --python."
  "$found" "$source_dir/tools/check_python.py" || fail "choose another Python with --python."
}

# Whether a process runs the program of a release: a service that was not restarted since, say.
in_use() {
  grep -qasF -- "$1/" /proc/[0-9]*/cmdline
}

# What stays of the releases: the current one, the one before, the newest of another version, and
# those in use. Sorted as versions: 0.10 comes after 0.9.
prune_releases() {
  local current=$1 before=$2 version=$3 release other=''
  local -a releases
  mapfile -t releases < <(find "$prefix/releases" -mindepth 1 -maxdepth 1 -type d | sort -V)
  for release in "${releases[@]}"; do
    [[ ${release##*/} = "$version"-* ]] || other=$release
  done
  for release in "${releases[@]}"; do
    case $release in
      "$current" | "$before" | "$other") ;;
      *) in_use "$release" || rm -rf "$release" ;;
    esac
  done
}

install_program() {
  local version release before copy
  local -a extras=()
  version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source_dir/erasecore/version.py")
  release=$prefix/releases/$version-$(date -u +%Y%m%dT%H%M%S)
  [[ $card = yes ]] && extras+=(diffusion)
  # All services share the program, so one that tells decides for all.
  if [[ $notify = yes ]] || grep -qs "$prefix/current/bin/subtitle-eraser notify" /etc/systemd/system/*.service; then
    extras+=(notify)
  fi
  say "program   $release"
  mkdir -p "$prefix/releases"
  "$python" -m venv "$release" || fail "needs venv: apt-get install python3-venv"
  copy=$(mktemp -d)  # building leaves traces in the sources, which may not be ours
  cp -rL "$source_dir"/{daemon,erasecore,setup.cfg,pyproject.toml,README.md,LICENSE} "$copy"
  if ! "$release/bin/python" -m pip install --quiet --disable-pip-version-check \
    --constraint "$source_dir/constraints.txt" "$copy$(IFS=,; printf '%s' "${extras[*]:+[${extras[*]}]}")"; then
    rm -rf "$copy" "$release"
    fail "pip could not install the program; what was there is as it was."
  fi
  rm -rf "$copy"
  mkdir -p "$release/share/doc/subtitle-eraser"
  cp "$source_dir"/docs/*.md "$source_dir/config.example.yaml" "$release/share/doc/subtitle-eraser"
  before=$(readlink "$prefix/current" || true)
  ln -sfn "$release" "$prefix/current.new"
  mv -fT "$prefix/current.new" "$prefix/current"
  mkdir -p /usr/local/bin
  ln -sfn "$prefix/current/bin/subtitle-eraser" /usr/local/bin/subtitle-eraser
  prune_releases "$release" "$before" "$version"
}

install_service() {
  put "/etc/sysusers.d/$user.conf" <"$source_dir/deploy/systemd/subtitle-eraser.sysusers"
  systemd-sysusers "/etc/sysusers.d/$user.conf"
  fitted "$source_dir/deploy/systemd/subtitle-eraser.tmpfiles" | put "$tmpfiles"
  mkdir -p "$(dirname "$root")"
  systemd-tmpfiles --create "$tmpfiles"
  say "folders   $root/{inbox,work,done,failed,originals}"
  if [[ -e $config ]]; then
    say "config    $config (kept as it is)"
  else
    fitted "$source_dir/config.example.yaml" | put "$config"
    say "config    $config"
  fi
  fitted "$source_dir/deploy/systemd/subtitle-eraser.service" | put "$unit"
  fitted "$source_dir/deploy/systemd/subtitle-eraser-models.service" | put "$models_unit"
  [[ $notify != yes ]] || install_notify
  if [[ $card = yes ]]; then
    rm -f "$unit.d/10-cpu-only.conf"
    # The unit's list of devices is read before it starts, so the module must be there by then.
    put /etc/modules-load.d/subtitle-eraser.conf <<<'nvidia-uvm'
    modprobe nvidia-uvm || say "warning   the kernel has no module nvidia-uvm; is the driver installed?"
  else
    put "$unit.d/10-cpu-only.conf" <"$source_dir/deploy/systemd/cpu-only.conf"
  fi
  say "service   $unit ($([[ $card = yes ]] && echo 'with the graphics card' || echo 'CPU only'))"
}

install_notify() {
  fitted "$source_dir/deploy/systemd/subtitle-eraser-notify.tmpfiles" | put "$notify_tmpfiles"
  systemd-tmpfiles --create "$notify_tmpfiles"
  install -d -m 0700 "/etc/$name/notify"
  fitted "$source_dir/deploy/systemd/subtitle-eraser-notify.service" | put "$notify_unit"
  say "notify    $notify_unit (whom: notify: in $config; secrets: /etc/$name/notify)"
}

start_service() {
  local -a services=("$name")
  [[ $notify != yes ]] || services+=("$name-notify")
  if ! systemd_runs; then
    [[ $start = no ]] || systemctl enable --quiet "${services[@]}"
    say "systemd does not run here; the service starts with the next boot."
    return
  fi
  systemctl daemon-reload
  if [[ $start = no ]]; then
    say "start it  systemctl enable --now ${services[*]}"
    return
  fi
  systemctl enable --quiet "${services[@]}"
  local service
  for service in "${services[@]}"; do
    if ! systemctl restart "$service"; then
      journalctl --unit "$service" --lines 10 --no-pager --output cat >&2 || true
      fail "$service did not start; see above, then: systemctl restart $service"
    fi
    say "started   systemctl status $service"
  done
}

# Where the films of this service lie: its configuration says, or else its root.
film_folders() {
  local found=''
  if [[ -r $config ]]; then
    found=$(awk '/^[^ #]/ { inside = ($1 == "folders:") }
      inside && $1 ~ /^(inbox|done|failed|originals):$/ { print $2 }' "$config" | xargs)
  fi
  printf '%s' "${found:-$root}"
}

uninstall() {
  local others films
  films=$(film_folders)
  if systemd_runs; then
    systemctl disable --now --quiet "$name" 2>/dev/null || true
    systemctl disable --now --quiet "$name-notify" 2>/dev/null || true
  fi
  rm -rf "$unit" "$unit.d" "$models_unit" "$tmpfiles" "/etc/systemd/system/multi-user.target.wants/$name.service"
  rm -rf "$notify_unit" "$notify_unit.d" "$notify_tmpfiles" \
    "/etc/systemd/system/multi-user.target.wants/$name-notify.service"
  rm -rf "/run/${name:?}"
  systemd_runs && systemctl daemon-reload
  others=$(grep -ls "$prefix/current/bin/subtitle-eraser run" /etc/systemd/system/*.service || true)
  if [[ -n $others ]]; then
    say "program   stays in $prefix, for ${others//$'\n'/ }"
  else
    rm -rf "$prefix/releases" "$prefix/current" /etc/modules-load.d/subtitle-eraser.conf
    rmdir "$prefix" 2>/dev/null || true
    [[ ! -L /usr/local/bin/subtitle-eraser ]] || rm /usr/local/bin/subtitle-eraser
  fi
  if [[ $purge = yes ]]; then
    rm -rf "/etc/${name:?}" "/var/lib/${name:?}" "/var/cache/${name:?}"
    if [[ -z $others ]]; then
      rm -f "/etc/sysusers.d/$user.conf"
      userdel "$user" 2>/dev/null || true
      groupdel "$user-operators" 2>/dev/null || true
    fi
  else
    say "kept      /etc/$name, /var/lib/$name, user $user (--purge removes them)"
  fi
  say "films     untouched, in $films"
}

if [[ $verb = uninstall ]]; then
  uninstall
  exit
fi
if [[ -z $card ]]; then
  [[ -e /proc/driver/nvidia/version ]] && card=yes || card=no
fi
check_python
install_program
install_service
start_service
