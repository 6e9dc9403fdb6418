# SPDX-License-Identifier: BSD-2-Clause
# bash looks for a file of the command's name: one file, and a link for each.
bashcompletiondir = $(datadir)/bash-completion/completions
EXTRA_DIST += completions/ov
OV_COMPLETE = ov-encode ov-fuse ov-generate ov-vocode ov-inspect ov-model \
	ov-vad ov-train

install-data-local: install-completions
install-completions:
	$(MKDIR_P) '$(DESTDIR)$(bashcompletiondir)'
	for t in $(OV_COMPLETE); do \
		$(INSTALL_DATA) '$(srcdir)/completions/ov' \
			"$(DESTDIR)$(bashcompletiondir)/$$t" || exit 1; \
	done
uninstall-local: uninstall-completions
uninstall-completions:
	for t in $(OV_COMPLETE); do \
		rm -f "$(DESTDIR)$(bashcompletiondir)/$$t"; \
	done
.PHONY: install-completions uninstall-completions
