;;; strata.el --- Strata specs in Emacs 29 and later  -*- lexical-binding: t -*-
;; Put this into your init file. Eglot comes with Emacs 29; in older ones install it from GNU ELPA.
(define-derived-mode strata-mode prog-mode "Strata"
  (setq-local comment-start "// ")
  (setq-local comment-start-skip "//+ *")
  (setq-local indent-tabs-mode nil)
  (setq-local tab-width 2))
(modify-syntax-entry ?/ ". 12" strata-mode-syntax-table)
(modify-syntax-entry ?\n ">" strata-mode-syntax-table)
(modify-syntax-entry ?_ "w" strata-mode-syntax-table)
(add-to-list 'auto-mode-alist '("\\.model\\'" . strata-mode))
(with-eval-after-load 'eglot
  (add-to-list 'eglot-server-programs '(strata-mode . ("strata" "lsp"))))
(add-hook 'strata-mode-hook #'eglot-ensure)
