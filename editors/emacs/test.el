;;; test.el --- A real Emacs against the real `cloister lsp' -*- lexical-binding: t -*-

;; CLOISTER_TEST_CLIENT=lsp-mode CLOISTER_SERVER=unix:… CLOISTER_TEST_SERVED=… emacs --batch -l emacs/test.el
;; Ends with 1 unless a completion came. Whether the ledger has the acceptance is for whoever runs it to look up.

(package-initialize)
(add-to-list 'load-path (file-name-directory load-file-name))
(require 'cloister)
(setq cloister-program (concat (getenv "CLOISTER_TEST_PROGRAMS") "/cloister"))
(define-derived-mode ada-mode prog-mode "Ada")
(add-to-list 'auto-mode-alist '("\\.ad[bs]\\'" . ada-mode))

(defvar test-client (or (getenv "CLOISTER_TEST_CLIENT") "lsp-mode"))

(defun test-until (what holds seconds)
  "Wait until HOLDS, at most SECONDS, or fail with WHAT."
  (let ((end (+ (float-time) seconds)))
    (while (and (not (funcall holds)) (< (float-time) end))
      (accept-process-output nil 0.05))
    (unless (funcall holds)
      (message "FAILED: %s" what)
      (kill-emacs 1))))

(let ((folder (make-temp-file "cloister-emacs" t)))
  (copy-file (concat (getenv "CLOISTER_TEST_SERVED") "/source/stacks.ads") (concat folder "/"))
  (copy-file (concat (getenv "CLOISTER_TEST_SERVED") "/source/stacks.adb") (concat folder "/"))
  (call-process "git" nil nil nil "init" "-q" folder)
  (find-file (concat folder "/stacks.adb"))
  (if (equal test-client "eglot")
      (progn
        (require 'eglot)
        (setq eglot-sync-connect 60)
        (cl-letf (((symbol-function 'call-interactively)
                   (lambda (&rest _)
                     (eglot (list 'ada-mode) (project-current t) 'eglot-lsp-server
                            (append (cloister-command) (list :initializationOptions (cloister-options))) "ada"))))
          (cloister-eglot)))
    (require 'lsp-mode)
    (setq lsp-auto-guess-root t lsp-response-timeout 60 lsp-enable-file-watchers nil lsp-headerline-breadcrumb-enable nil
          lsp-session-file (concat folder "/session") lsp-warn-no-matched-clients t)
    (lsp-workspace-folders-add folder)
    (lsp)
    (test-until "lsp-mode is connected" (lambda () (and (lsp-workspaces) (lsp--capability :completionProvider))) 60))
  (search-forward "procedure Pop")
  (search-forward "begin\n")
  (insert "      if Is_Empty (S) then\n         ")
  (let* ((found nil) (tries 0))
    (while (and (not found) (< tries 20))
      (setq tries (1+ tries))
      (let* ((capf (run-hook-with-args-until-success 'completion-at-point-functions))
             (table (nth 2 capf)))
        ;; A slow answer times out; the server has it the next time.
        (setq found (ignore-errors (all-completions (buffer-substring (nth 0 capf) (point)) table))))
      (unless found (accept-process-output nil 1)))
    (message "%s offers: %S" test-client (mapcar #'substring-no-properties found))
    (unless found (message "FAILED: nothing is offered") (kill-emacs 1))
    (let* ((capf (run-hook-with-args-until-success 'completion-at-point-functions))
           (item (car (all-completions (buffer-substring (nth 0 capf) (point)) (nth 2 capf)))))
      (delete-region (nth 0 capf) (point))
      (insert item)
      (funcall (plist-get (nthcdr 3 capf) :exit-function) item 'finished)
      (accept-process-output nil 3)
      (message "%s put in: %S" test-client
               (buffer-substring-no-properties (save-excursion (forward-line -2) (point)) (point-max)))))
  (delete-directory folder t)
  (kill-emacs 0))
;;; test.el ends here
