;;; cloister.el --- The language server `cloister lsp' in Emacs -*- lexical-binding: t -*-

;; With lsp-mode: (require 'cloister) and (add-hook 'prog-mode-hook #'lsp-deferred). It runs beside other servers.
;; With eglot: (require 'cloister) and M-x cloister-eglot. Eglot has one server for a buffer, so this takes the place of another.
;; Tried: Emacs 28.2 with lsp-mode 8.0.0 and with eglot 1.9, by test.el. Eglot runs no command of a completion: no acceptance is recorded.
;; Completions come by completion-at-point (C-M-i) or company.

;;; Code:

(defgroup cloister nil "A code assistant inside your own network." :group 'tools)

(defcustom cloister-program "cloister"
  "The program `cloister'."
  :type 'string :group 'cloister)

(defcustom cloister-server nil
  "The server, as unix:/run/cloister/cloister.sock; nil: as the program finds it."
  :type '(choice (const nil) string) :group 'cloister)

(defcustom cloister-deployment nil
  "The deployment to ask; nil: the server's first."
  :type '(choice (const nil) string) :group 'cloister)

(defcustom cloister-modes
  '(ada-mode vhdl-mode verilog-mode c-mode c++-mode rust-mode python-mode f90-mode fortran-mode asm-mode pascal-mode)
  "The modes in which completions are offered."
  :type '(repeat symbol) :group 'cloister)

(defun cloister-command ()
  "What is started."
  (list cloister-program "lsp"))

(defun cloister-options ()
  "What the server is told at its start."
  (append '(:completion (:automatic t :debounce_ms_max 400 :max_tokens 64))
          (when cloister-server (list :server cloister-server))
          (when cloister-deployment (list :deployment cloister-deployment))))

(with-eval-after-load 'lsp-mode
  (declare-function lsp-register-client "lsp-mode")
  (declare-function make-lsp-client "lsp-mode")
  (declare-function lsp-stdio-connection "lsp-mode")
  (defvar lsp-language-id-configuration)
  (add-to-list 'lsp-language-id-configuration '(ada-mode . "ada"))
  (add-to-list 'lsp-language-id-configuration '(vhdl-mode . "vhdl"))
  (add-to-list 'lsp-language-id-configuration '("\\.ad[abs]\\'" . "ada"))
  (lsp-register-client
   (make-lsp-client
    :new-connection (lsp-stdio-connection #'cloister-command)
    :activation-fn (lambda (file _mode)
                     (or (apply #'derived-mode-p cloister-modes)
                         (string-match-p "\\.ad[abs]\\'" (or file ""))))
    :server-id 'cloister
    :add-on? t
    :priority -1
    :notification-handlers (let ((handlers (make-hash-table :test #'equal)))
                             (puthash "cloister/statusChanged" #'ignore handlers)
                             (puthash "cloister/chatText" #'ignore handlers)
                             handlers)
    :initialization-options #'cloister-options)))

(defvar eglot-server-programs)
(declare-function eglot "eglot")

;;;###autoload
(defun cloister-eglot ()
  "Start eglot with Cloister for this buffer's mode."
  (interactive)
  (require 'eglot)
  (let ((eglot-server-programs
         (cons (cons major-mode (append (cloister-command) (list :initializationOptions (cloister-options))))
               eglot-server-programs)))
    (call-interactively #'eglot)))

(provide 'cloister)
;;; cloister.el ends here
